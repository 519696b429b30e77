"""``KEY=VALUE`` options whose values may be dicts and lists of dicts, which mmengine's action cannot read."""

import argparse
import ast
from collections.abc import Sequence
from typing import Any, Optional, Union

from mmengine.config import DictAction


class OptionAction(DictAction):
    """Argparse action for ``KEY=VALUE ...``.

    Values are read as mmengine's ``DictAction`` reads them; texts with a backslash (regular expressions) or with blanks
    inside stay as they are, and values with ``dict(...)`` or ``{...}`` in them are the Python literals that they look
    like; nothing is executed.

    Example:
        >>> parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
        >>> parser.parse_args(['--cfg-options', "a.steps=[dict(type='L2Normalize'), dict(type='DropJunk')]"])
    """

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Optional[Union[str, Sequence[Any]]], option_string: Optional[str] = None) -> None:
        """Put the options into the namespace."""
        for item in values or ():
            key, equals, value = item.partition('=')
            if not equals:
                raise argparse.ArgumentError(self, f'{item!r} must have the form KEY=VALUE')
            if _is_text(value):
                text = value.strip().strip('\'"')
                setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), key: text})
                continue
            if not looks_like_dicts(value):
                super().__call__(parser, namespace, [item], option_string)
                continue
            try:
                literal = read_literal(value)
            except (ValueError, SyntaxError) as error:
                raise argparse.ArgumentError(self, f'the value of {key} cannot be read, {error}: {value}') from None
            setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), key: literal})


def _is_text(value: str) -> bool:
    """Whether a value is a regular expression, or one text with blanks, which mmengine would take out of it."""
    text = value.strip()
    if '\\' in text and not text.startswith(('[', '{', 'dict(')):
        return True
    return ' ' in text and ',' not in text and not text.startswith(('(', '[', '{', 'dict('))


def looks_like_dicts(text: str) -> bool:
    """Whether a value is a dict or a list or tuple with one in it, and not text that has a brace somewhere."""
    text = text.strip()
    return text.startswith(('dict(', '{')) or (text.startswith(('[', '(')) and ('dict(' in text or '{' in text))


def read_literal(text: str) -> Any:
    """Evaluate a Python literal in which dicts may be written ``dict(key=value)``.

    Raises:
        ValueError: If there is anything else than literals in it.
        SyntaxError: If it is no Python expression.
    """
    return _value(ast.parse(text.strip(), mode='eval').body)


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError('"**" is not allowed')
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts] if isinstance(node, ast.List) else tuple(map(_value, node.elts))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f'"{ast.unparse(node)}" is no literal (quote text)') from None
