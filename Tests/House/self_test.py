"""Whether the checks find what they are for, and nothing else."""

from pathlib import Path

import check
import size_limits
import target_imports
from swift_source import code_of, declarations

TRICKY = r'''
internal import struct Foundation.Date
@testable import JSON
// func commented() {
/* func blocked() { /* nested { */ { */
struct Plain: Sendable {
    let text = "a } \(call("{ \(deep) }")) func quoted() {"
    let raw = #"one " \( } \#(value["{"]) "#
    let quote = #"""#
    var long = """
        func inString() { "quoted" \(x)
        }
        """
    static let shared = 1
    let a, b: Int
    var (c, d) = (1, 2)
    var watched: Int {
        didSet { print("}") }
    }
    var computed: Int { a }
    let pattern = /["{]+/
    let extended = #/ " } /#
    lazy var made: Int = {
        a
    }()
    let function: (Int, Int) -> Void
    var both: Int {
        get { a }
        mutating set {
            c = newValue
        }
    }
    func take<T: Sequence>(_ each: [T: Int], by: (T, Int) -> Bool = { $0 < $1 }, to: Map<T, Int> = .init()) -> T
    where T.Element == Int {
        func local() {
        }
        let initial = self.init(other) { }
        struct Inner { var x = a < b ? 1 : 2 }
        return half / 2 // {
    }
    init?(closure: () -> Void = {}, other: Int) {
        self.init(a: 1)
    }
    static func < (left: Plain, right: Plain) -> Bool { left.a < right.a }
    class func classFunction() {}
    subscript(index: Int) -> Int { index }
    deinit {
    }
}
extension Plain.Inner where A == B {
    func wide(a: Int, b: Int, c: Int, d: Int, e: Int, f: (Int, Int) -> [Int: Int] = [:],) {}
}
protocol Demands {
    var needed: Int { get }
    init(a: Int)
    func required(a: Int, b: Int)
}
enum Kind {
    case func1
    case class(Int)
    var isOne: Bool {
        switch self {
        case .class: true
        default: false
        }
    }
}
func free() {}
extension [UInt8] {
    init(_ count: Int) {}
}
'''

FUNCTIONS = {
    # Name: lines and parameters.
    "Plain.watched.didSet": (1, None),
    "Plain.computed": (1, None),
    "Plain.made": (3, None),
    "Plain.both.get": (1, None),
    "Plain.both.set": (3, None),
    "Plain.take": (8, 3),
    "Plain.local": (2, 0),
    "Plain.init": (3, None),
    "Plain.<": (1, 2),
    "Plain.classFunction": (1, 0),
    "Plain.subscript": (1, None),
    "Plain.deinit": (2, None),
    "Plain.Inner.wide": (1, 6),
    "Demands.required": (0, 2),
    "Kind.isOne": (6, None),
    "free": (1, 0),
    "[UInt8].init": (1, None),
}
TYPES = {"Plain": 13, "Plain.Inner": 1, "Demands": 0, "Kind": 0, "[UInt8]": 0}


def body(lines: int) -> str:
    """So many lines of code."""
    return "        x += 1\n" * lines


# Of each, as many findings as there are numbers, in this order.
BEYOND = [
    ("struct A {\n    func f() {\n" + body(59) + "    }\n}", [61]),
    ("struct A {\n    func f() {\n" + body(58) + "    }\n}", []),
    ("struct A {\n    init() {\n" + body(59) + "    }\n}", [61]),
    ("final class A {\n    deinit {\n" + body(59) + "    }\n}", [61]),
    ("struct A {\n    var f: Int {\n" + body(59) + "    }\n}", [61]),
    ("struct A {\n    let f: () -> Void = {\n" + body(59) + "    }\n}", [61]),
    ("struct A {\n    let f = made(1) {\n" + body(59) + "    }\n}", [61]),
    ("struct A {\n    subscript(i: Int) -> Int {\n" + body(59) + "    }\n}", [61]),
    ("struct A {\n    var f: Int {\n get {\n" + body(59) + " }\n set {\n" + body(40) + " }\n }\n}", [61]),
    ("struct A {\n    var f: Int {\n get {\n" + body(40) + " }\n set {\n" + body(40) + " }\n }\n}", []),
    ("func outer() {\n    func f() {\n" + body(59) + "    }\n}", [61, 63]),
    ('func f() {\n    let text = """\n' + body(57) + '"""\n}', [61]),
    ("let table = [\n" + body(100) + "]", []),
]


def scanner_mistakes() -> list[str]:
    """What the reader makes of a file full of traps."""
    found = declarations(TRICKY)
    wrong = []
    functions = {each.name: (each.lines, each.parameters) for each in found.functions}
    types = {name: 0 for name in TYPES}
    for each in found.types:
        types[each.name] = types.get(each.name, 0) + each.stored
    for name, theirs, expected in (
        ("functions", functions, FUNCTIONS),
        ("stored properties", types, TYPES),
        ("imports", dict(found.imports), {"Foundation": 2, "JSON": 3}),
    ):
        for key in sorted(theirs.keys() | expected.keys()):
            if theirs.get(key) != expected.get(key):
                wrong.append(f"{name}: {key}: {theirs.get(key)}, not {expected.get(key)}")
    if len(found.functions) != len(FUNCTIONS):
        wrong.append(f"{len(found.functions)} functions, not {len(FUNCTIONS)}")
    if len(code_of(TRICKY)) != len(TRICKY) or code_of(TRICKY).count("\n") != TRICKY.count("\n"):
        wrong.append("code is not where it was")
    return wrong


def limit_mistakes() -> list[str]:
    """What the limits let through, and what they should have."""
    wrong = []
    for text, expected in BEYOND:
        lines = [
            each.lines for each in declarations(text).functions
            if size_limits.function_problems("f", declarations(text)) and each.lines > 60
        ]  # fmt: skip
        if lines != expected:
            wrong.append(f"{text[:60]!r}: {lines}, not {expected}")
    root = Path("/root")

    def types(*texts: str) -> int:
        paths = {root / f"Sources/T/{at}.swift": declarations(text) for at, text in enumerate(texts)}
        return len(size_limits.type_problems(root, paths))

    half = "    func f() {}\n" * 400
    properties = "".join(f"    let p{at}: Int\n" for at in range(16))
    for name, count, expected in (
        ("a type in two files", types(f"struct A {{\n{half}}}", f"extension A {{\n{half}}}"), 1),
        ("two types", types(f"struct A {{\n{half}}}", f"struct B {{\n{half}}}"), 0),
        ("16 properties", types(f"struct A {{\n{properties}}}"), 1),
        ("15 properties", types(f"struct A {{\n{properties}}}".replace("p0: Int", "p0: Int { 1 }")), 0),
        ("long file", len(size_limits.file_problems("f", "\n" * 400)), 1),
        ("short file", len(size_limits.file_problems("f", "\n" * 399)), 0),
        ("six parameters", len(size_limits.parameter_problems("f", declarations(TRICKY))), 1),
    ):
        if count != expected:
            wrong.append(f"{name}: {count} problems, not {expected}")
    return wrong


MANIFEST = """
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let package = Package(
    dependencies: [
        .package(url: "x", from: "1.0.0"),
    ],
    targets: [
        .target(name: "CKernels"),
        library("JSON"),
        library("Records", ["JSON", logging, .product(name: "Crypto", package: "swift-crypto")]),
        .target(
            name: "HydrantCommand",
            dependencies: ["Records", logging],
            swiftSettings: settings
        ),
        tests("Records"),
    ]
)
"""


def import_mistakes() -> list[str]:
    """What the table of imports lets through."""
    wrong = []
    for target, module, is_allowed in (
        ("Delivery", "DurableLog", False), ("Delivery", "Transforms", False),
        ("Delivery", "Foundation", True), ("Records", "NIOCore", False),
        ("HTTPServer", "NIOSSL", True), ("FirehoseAPI", "NIOPosix", False),
        ("JSON", "Records", False), ("HydrantCommand", "DurableLog", True),
        ("HydrantCommand", "TestSupport", False), ("Unheard", "Foundation", False),
    ):  # fmt: skip
        if (target_imports.problem(target, module) is None) != is_allowed:
            wrong.append(f"{target} imports {module}: allowed is not {is_allowed}")
    declared = {name: modules for name, modules, _ in target_imports.declared_imports(MANIFEST)}
    expected = {
        "CKernels": set(), "JSON": set(), "Records": {"JSON", "Logging", "Crypto"},
        "HydrantCommand": {"Records", "Logging"},
    }  # fmt: skip
    return wrong + ([f"declared: {declared}, not {expected}"] if declared != expected else [])


def exception_mistakes() -> list[str]:
    """What becomes of exceptions."""
    found = [("f:1", "A.f lines", "too long"), ("f:9", "A lines", "too long")]
    many = {f"A.f{at} lines": "" for at in range(6)}
    wrong = []
    for name, exceptions, expected in (
        ("none", {}, 2), ("one", {"A.f lines": "why"}, 1), ("stale", {"A.g lines": "why"}, 3),
        ("many", many, 9),
    ):  # fmt: skip
        count = len(check.without_exceptions(found, exceptions))
        if count != expected:
            wrong.append(f"exceptions, {name}: {count} problems, not {expected}")
    return wrong


def run() -> int:
    """Prints what is wrong with the checks; 1 where something is."""
    wrong = scanner_mistakes() + limit_mistakes() + import_mistakes() + exception_mistakes()
    print("\n".join(wrong) if wrong else "house: the checks find what they are for")
    return 1 if wrong else 0
