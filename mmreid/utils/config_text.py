"""Reading an entry of a config's text without running it."""

import ast
from typing import Any

from .config import ConfigError

_PLAIN = (str, int, float, bool, bytes, type(None))


def literal_entry(text: str, name: str) -> Any:
    """The value of a top-level entry of a config that was written out in full.

    mmreid's checkpoints carry the text of their config (``meta['cfg']``), ``name = value`` line by line with every base
    resolved. Executing it would let a stranger's file run anything; here it is parsed, and nothing but literals and
    ``dict(key=value)`` or ``dict({key: value})`` is accepted.

    Args:
        text (str): ``Config.pretty_text``.
        name (str): Which entry.

    Raises:
        ConfigError: If the text is no Python, has no such entry, or the entry holds anything but numbers, strings,
            None, and dicts, lists or tuples of them.
    """
    try:
        statements = ast.parse(text).body
        for statement in reversed(statements):
            if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [name]:
                return _value(statement.value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f'the text of a config could not be parsed: {type(error).__name__}: {error}') from error
    raise ConfigError(f'the text of the config has no entry "{name}"')


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, _PLAIN):
        return node.value
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):  # how a config writes these floats
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return -number
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(item) for key, item in zip(node.keys, node.values)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' \
            and all(keyword.arg for keyword in node.keywords):
        if not node.args:
            return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
        if len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.Dict):
            return _value(node.args[0])  # how keys that are no names are written
    raise ConfigError(f'line {node.lineno} of the config text is more than plain values: {ast.unparse(node)[:80]!r}')
