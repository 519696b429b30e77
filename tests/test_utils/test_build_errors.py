import pytest
from torch import nn

from mmreid.registry import MODELS
from mmreid.utils.build_errors import component_of, explain
from mmreid.utils.command_line import plain_errors


@MODELS.register_module()
class OuterOfBuildErrors(nn.Module):

    def __init__(self, part: dict, width: int = 1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.part = MODELS.build(part)


@MODELS.register_module()
class InnerOfBuildErrors(nn.Module):

    def __init__(self, length, width=1) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f'width must be positive, got {width}')


def error_of(cfg: dict) -> Exception:
    with pytest.raises((TypeError, ValueError, KeyError)) as caught:
        MODELS.build(cfg)
    return caught.value


def inside(**options) -> dict:
    return dict(type='OuterOfBuildErrors', part=dict(type='InnerOfBuildErrors', **options))


def test_misspelt_argument_of_the_innermost_part():
    error = error_of(inside(length=1, widht=3))
    assert component_of(error) is InnerOfBuildErrors
    assert explain(error, InnerOfBuildErrors) == (
        'InnerOfBuildErrors has no argument "widht"; did you mean width? It takes: length, width')


def test_missing_argument():
    error = error_of(inside(width=3))
    assert explain(error, component_of(error)) == (
        "InnerOfBuildErrors needs 'length' in the config. It takes: length, width")


def test_other_messages_are_kept_and_named():
    error = error_of(inside(length=1, width=0))
    assert explain(error, component_of(error)) == 'InnerOfBuildErrors: width must be positive, got 0'
    error = error_of(dict(type='OuterOfBuildErrors', part=dict(width=0)))
    text = explain(error, component_of(error))
    assert text.startswith('OuterOfBuildErrors: ') and 'must contain the key "type"' in text and '\n' not in text


def test_arguments_that_are_handed_on_to_a_base():

    @MODELS.register_module()
    class DerivedOfBuildErrors(InnerOfBuildErrors):

        def __init__(self, height, **kwargs) -> None:
            super().__init__(**kwargs)

    error = error_of(dict(type='DerivedOfBuildErrors', length=1))
    assert explain(error, component_of(error)).endswith('It takes: height, length, width')


def test_a_fault_of_the_program_is_not_taken_for_one_of_the_config():
    with pytest.raises(TypeError) as caught:
        InnerOfBuildErrors(1, widht=3)
    assert component_of(caught.value) is None
    with pytest.raises(TypeError), plain_errors(OSError):
        InnerOfBuildErrors(1, widht=3)


def test_one_line_at_the_end_of_the_program(monkeypatch):
    monkeypatch.delenv('MMREID_DEBUG', raising=False)
    with pytest.raises(SystemExit) as caught, plain_errors(OSError):
        MODELS.build(inside(length=1, width=0))
    message = 'ValueError: InnerOfBuildErrors: width must be positive, got 0'
    assert caught.value.code == f'{message} (MMREID_DEBUG=1 shows where)'


def test_traceback_on_demand(monkeypatch):
    monkeypatch.setenv('MMREID_DEBUG', '1')
    with pytest.raises(ValueError, match='width must be positive'), plain_errors():
        MODELS.build(inside(length=1, width=0))


def test_assertions_keep_their_traceback():

    @MODELS.register_module()
    class BrokenOfBuildErrors(nn.Module):

        def __init__(self) -> None:
            raise ZeroDivisionError('a fault')

    with pytest.raises(ZeroDivisionError), plain_errors():
        MODELS.build(dict(type='BrokenOfBuildErrors'))
