"""OpenCV's usual installation problem, with its cure."""


def require_opencv() -> None:
    """Import cv2.

    Raises:
        ImportError: If a system library is missing (slim containers have no libGL); the message says what to install.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'OpenCV cannot be imported: {error}. On a machine without a display, either install its system libraries '
            '(apt-get install libgl1 libglib2.0-0) or use the build that needs none:\n'
            '    pip uninstall -y opencv-python && pip install opencv-python-headless') from error
