"""A small reader of Swift: what is code in a file, and which functions and types it declares.

It knows comments, strings and regular expressions well enough to match braces, and no more: it resolves
no names, and of an `#if` all branches count.
"""

import re
from dataclasses import dataclass, field

# Three quotes with something behind them in their line are `#"""#`: a quote in a raw string.
STRING = re.compile(r'(#*)("""(?=[ \t]*\n)|")')
EXTENDED_REGEX = re.compile(r"(#+)/")
REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\\\n])+/")
# Where an operand is expected, a slash begins a regular expression.
BEFORE_OPERAND = "(,=:[{&|!?;\n"

OPENING, CLOSING = "([", ")]"
TOKEN = re.compile(r"`[^`\n]+`|[A-Za-z_]\w*|[()\[\]{}]")
TYPES = {"class", "struct", "enum", "actor", "protocol", "extension"}
MEMBERS = {
    "var", "let", "init", "deinit", "subscript", "case", "typealias", "associatedtype",
}  # fmt: skip
ACCESSORS = {"get", "set", "willSet", "didSet", "_read", "_modify", "init"}
ACCESSOR = re.compile(
    r"\s*(?:(?:@\w+|mutating|nonmutating|borrowing|consuming)\s+)*"
    r"(?:get|set|willSet|didSet|_read|_modify|init)\s*(?:\(\w+\)\s*)?"
    r"(?:async\s*)?(?:throws\s*(?:\([\w.]+\)\s*)?)?\{"
)
OBSERVER = re.compile(r"\s*(?:willSet|didSet)\b")
MODULE = re.compile(
    r"\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+)[\w.]*"
)
FUNCTION_NAME = re.compile(r"\s+(`[^`\n]+`|[A-Za-z_]\w*|[-+*/%=<>!&|^~?.]+)\s*")
TYPE_NAME = re.compile(r"\s+([A-Za-z_][\w.]*|\[[\w:. ]+\](?=[^{\n]*\{))")
PROPERTY_NAMES = re.compile(r"\s*(\([^)]*\)|[\w`]+(?:\s*,\s*[\w`]+)*)")


def code_of(text: str) -> str:
    """The text with blanks for all that is not code: comments, strings and regular expressions.

    Every line and column stays where it is.
    """
    pieces, copied, at = [], 0, 0
    while match := re.compile(r'[/"#]').search(text, at):
        at = match.start()
        end = _end_of_no_code(text, at)
        if end > at:
            pieces += [text[copied:at], re.sub(r"[^\n]", " ", text[at:end])]
            copied = end
        at = max(end, at + 1)
    return "".join(pieces) + text[copied:]


def _end_of_no_code(text: str, at: int) -> int:
    """The end of the comment, string or regular expression that begins at `at`, or `at`."""
    if text.startswith("//", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text.startswith("/*", at):
        return _end_of_comment(text, at)
    if text[at] in '#"':
        if match := STRING.match(text, at):
            return _end_of_string(text, match.end(), len(match[1]), match[2])
        if match := EXTENDED_REGEX.match(text, at):
            end = text.find("/" + match[1], match.end())
            return len(text) if end < 0 else end + 1 + len(match[1])
    if text[at] == "/" and at + 1 < len(text) and text[at + 1] not in " \t\n":
        before = text[:at].rstrip(" \t")[-1:] or "\n"
        match = REGEX.match(text, at)
        if match and before in BEFORE_OPERAND:
            return match.end()
    return at


def _end_of_comment(text: str, at: int) -> int:
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _end_of_string(text: str, at: int, pounds: int, quote: str) -> int:
    escape, closing = "\\" + "#" * pounds, quote + "#" * pounds
    while at < len(text):
        if text.startswith(closing, at):
            return at + len(closing)
        if text.startswith(escape, at):
            at += len(escape)
            at = _end_of_interpolation(text, at) if text.startswith("(", at) else at + 1
        elif text[at] == "\n" and quote == '"':
            return at  # unterminated: the compiler says so
        else:
            at += 1
    return at


def _end_of_interpolation(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        end = _end_of_no_code(text, at)
        if end > at:
            at = end
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return at
    return at


@dataclass
class Function:
    """A body of code with a name."""

    name: str
    line: int
    lines: int = 0
    # None for what is not declared by `func`.
    parameters: int | None = None


@dataclass
class Type:
    """A declaration or an extension of a type."""

    name: str
    line: int
    lines: int = 0
    stored: int = 0
    is_protocol: bool = False


@dataclass
class Declarations:
    """What a file declares."""

    functions: list[Function] = field(default_factory=list)
    types: list[Type] = field(default_factory=list)
    # Module and line.
    imports: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Scope:
    """What stands between two braces."""

    # "type" (members stand in it), "accessors", or "code".
    kind: str
    name: str = ""
    # What ends with it.
    item: Function | Type | None = None
    # Parentheses that were open, and the declaration whose braces were to come, where it began.
    depth: int = 0
    awaited: "tuple[str, Function | Type] | None" = None


class Reader:
    """Reads the declarations of one file."""

    def __init__(self, text: str):
        self.code = code_of(text)
        self.found = Declarations()
        self.scopes = [Scope("type")]
        # The declaration whose braces come next: "type", "function" or "property".
        self.awaited: tuple[str, Function | Type] | None = None
        # Parentheses that are open in this scope.
        self.depth = 0
        self.line = 1
        self.at = 0

    def read(self) -> Declarations:
        """Reads all of it."""
        for match in iter(lambda: TOKEN.search(self.code, self.at), None):
            self._move(match.end())
            token = match[0]
            if token in OPENING:
                self.depth += 1
            elif token in CLOSING:
                self.depth -= 1
            elif token == "{":
                self._open()
            elif token == "}":
                self._close()
            else:
                self._word(token, match.start())
        return self.found

    def _move(self, to: int) -> None:
        self.line += self.code.count("\n", self.at, to)
        self.at = to

    # MARK: Braces

    def _open(self) -> None:
        scope = Scope("code", depth=self.depth, awaited=self.awaited)
        if self.awaited:
            kind, item = self.awaited
            if kind == "property":
                # Each brace of a property is a body of its own, and others may follow.
                scope.name = item.name
                if self.depth == 0 and ACCESSOR.match(self.code, self.at):
                    scope.kind = "accessors"
                else:
                    scope.item = Function(item.name, self.line)
            elif self.depth == 0:
                scope.kind = "type" if kind == "type" else "code"
                scope.name, scope.item, scope.awaited = item.name, item, None
        self.scopes.append(scope)
        self.depth, self.awaited = 0, None

    def _close(self) -> None:
        if len(self.scopes) == 1:
            return
        scope = self.scopes.pop()
        self.depth, self.awaited = scope.depth, scope.awaited
        if scope.item:
            scope.item.lines = self.line - scope.item.line + 1
            is_type = isinstance(scope.item, Type)
            (self.found.types if is_type else self.found.functions).append(scope.item)

    # MARK: Declarations

    def _word(self, word: str, start: int) -> None:
        if start and self.code[start - 1] in ".@#":
            return
        kind = self.scopes[-1].kind
        if word == "func":
            self._function()
        elif word in TYPES:
            self._type(word)
        elif self.depth > 0 or kind == "code":
            return
        elif kind == "accessors":
            if word in ACCESSORS:
                name = f"{self.scopes[-1].name}.{word}"
                self.awaited = ("function", Function(name, self.line))
        elif word == "import":
            if module := MODULE.match(self.code, self.at):
                self.found.imports.append((module[1], self.line))
                self._move(module.end())
        else:
            self._member(word, start)

    def _qualified(self, name: str) -> str:
        names = [scope.name for scope in self.scopes if scope.kind == "type" and scope.name]
        return ".".join(names[-1:] + [name])

    @property
    def _is_protocol(self) -> bool:
        item = self.scopes[-1].item
        return isinstance(item, Type) and item.is_protocol

    def _function(self) -> None:
        if not (name := FUNCTION_NAME.match(self.code, self.at)):
            return
        function = Function(self._qualified(name[1]), self.line)
        self._move(name.end())
        self._skip_generics()
        function.parameters = self._parameters()
        if self._is_protocol:
            self.found.functions.append(function)
        else:
            self.awaited = ("function", function)

    def _type(self, word: str) -> None:
        name = TYPE_NAME.match(self.code, self.at)
        # `class func`; an `extension` that is a variable's name.
        if not name or name[1] in {"func", "var", "let", "subscript", "init", "in"}:
            return
        item = Type(self._qualified(name[1]), self.line, is_protocol=word == "protocol")
        self._move(name.end())
        self.awaited = ("type", item)

    def _member(self, word: str, start: int) -> None:
        if word not in MEMBERS:
            return
        self.awaited = None
        if word in ("var", "let"):
            self._property(start)
        elif word in ("init", "deinit", "subscript") and not self._is_protocol:
            kind = "property" if word == "subscript" else "function"
            self.awaited = (kind, Function(self._qualified(word), self.line))

    def _property(self, start: int) -> None:
        if not (declared := PROPERTY_NAMES.match(self.code, self.at)) or self._is_protocol:
            return
        names = [name.strip(" `") for name in declared[1].strip("()").split(",")]
        self.awaited = ("property", Function(self._qualified(names[0]), self.line))
        item = self.scopes[-1].item
        modifiers = re.split(r"[\n;{}]", self.code[:start])[-1].split()
        if isinstance(item, Type) and not {"static", "class"} & set(modifiers):
            if not self._is_computed(declared.end()):
                item.stored += len(names)

    def _is_computed(self, at: int) -> bool:
        """Whether a body follows the declared type: braces without a value before them."""
        depth = 0
        for match in re.compile(r"[(\[\])={}\n]").finditer(self.code, at):
            token, end = match[0], match.end()
            if token in OPENING:
                depth += 1
            elif token in CLOSING:
                depth -= 1
            elif depth > 0:
                continue
            elif token == "{":
                return not OBSERVER.match(self.code, end)
            elif token in "=}":
                return False
            elif not self.code[at:end].rstrip().endswith((":", "&", "->", ",")):
                if not re.compile(r"\s*(\{|&|->)").match(self.code, end):
                    return False
        return False

    # MARK: Parameters

    def _skip_generics(self) -> None:
        if self.code[self.at : self.at + 1] != "<":
            return
        depth = 0
        for match in re.compile(r"<|(?<!-)>").finditer(self.code, self.at):
            depth += 1 if match[0] == "<" else -1
            if depth == 0:
                return self._move(match.end())

    def _parameters(self) -> int:
        """Counts the parameters in the parentheses that begin here, and goes to their end."""
        depth, count, begin = 0, 0, self.at
        # A comparison, in a default value, has blanks around it.
        tokens = re.compile(r"(?<! )<|(?<![- ])>|[(\[{,)\]}]")
        for match in tokens.finditer(self.code, self.at):
            token = match[0]
            if token in "([{<":
                depth += 1
                begin = match.end() if depth == 1 else begin
            elif token in ")]}>":
                depth -= 1
            if depth == 0 or token == "," and depth == 1:
                count += bool(self.code[begin : match.start()].strip())
                begin = match.end()
            if depth == 0:
                self._move(match.end())
                break
        return count


def declarations(text: str) -> Declarations:
    """What a file's text declares."""
    return Reader(text).read()
