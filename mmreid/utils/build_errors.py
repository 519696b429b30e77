"""What went wrong while a component was built from a config."""

import difflib
import inspect
import re
from typing import Optional


def component_of(error: BaseException) -> Optional[type]:
    """The class that mmengine was building from a config when the error was raised, the innermost; None: it was not.

    A part that checks its arguments raises an error of its own, to which the config is the key: nothing else tells the
    mistakes of a config from the faults of a program.
    """
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == 'build_from_cfg':
            found = trace.tb_frame.f_locals.get('obj_cls', found)
        trace = trace.tb_next
    return found


def explain(error: Exception, component: type) -> str:
    """The message of an error that the building of ``component`` ended with.

    A misspelt or a missing argument is answered with those that there are; other messages stay, with the name of the
    component before them if they lack it.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = text.removesuffix('\nNone')  # mmengine ends with the defaults, where there are none, too
    name = component.__name__
    if isinstance(error, TypeError):
        known = _arguments(component)
        unknown = re.search(rf"{name}\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
        if unknown:
            close = difflib.get_close_matches(unknown[1], known, n=3)
            return (f'{name} has no argument "{unknown[1]}"'
                    + (f'; did you mean {" or ".join(close)}?' if close else '.')
                    + f' It takes: {", ".join(known) or "none"}')
        missing = re.search(rf"{name}\.__init__\(\) missing \d+ required \S+ arguments?: (.*)", text)
        if missing:
            return f'{name} needs {missing[1]} in the config. It takes: {", ".join(known)}'
    return text if name in text else f'{name}: {text}'


def _arguments(component: type) -> list[str]:
    """Names of the arguments of a class, with those that ``**kwargs`` hands on to its bases."""
    names: dict[str, None] = {}
    for cls in component.__mro__:
        if '__init__' not in vars(cls) or cls is object:
            continue
        parameters = inspect.signature(vars(cls)['__init__']).parameters.values()
        names.update((p.name, None) for p in list(parameters)[1:]
                     if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return list(names)
