"""What each target may import: the layers of the Architecture article, as a table."""

import re
from pathlib import Path

from swift_source import Declarations

# Modules of the system and of other packages that only the targets below may use; Foundation and what
# belongs to the standard library may be used everywhere.
NIO = {"NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL"}
PROCESSES = {"Subprocess", "SystemPackage"}
FREE = {
    "Swift", "Foundation", "FoundationEssentials", "Synchronization", "Dispatch", "Glibc", "Musl",
    "Darwin",
}  # fmt: skip

# What processors of buffers are built on.
ENGINE = {
    "Platform", "JSON", "Records", "Compression", "Encryption", "Destinations",
}  # fmt: skip

MAY_IMPORT: dict[str, set[str]] = {
    "CCurl": set(),
    "CZlib": set(),
    "CKernels": set(),
    "Platform": {"CKernels"},
    "JSON": set(),
    "Records": {"JSON"},
    "Compression": {"CZlib"},
    "SigV4": {"Records", "Platform", "Crypto"},
    "Encryption": {"Platform", "Crypto"},
    "Egress": {"CCurl", "Platform"},
    "Observability": {"Platform", "Records", "CoreMetrics"},
    "DurableLog": {"Records", "Platform", "Encryption", "Logging"},
    "Destinations": {
        "Records", "JSON", "SigV4", "Egress", "Compression", "Platform", "Crypto",
        *PROCESSES,
    },
    "Delivery": ENGINE | {"Crypto", "Logging", "Metrics"},
    "Transforms": ENGINE
    | {"CKernels", "Delivery", "Crypto", "Logging", "Metrics", "NIOCore", "NIOPosix", "NIOHTTP1"}
    | PROCESSES,
    "DeliveryStreams": ENGINE | {"Delivery", "Transforms", "Crypto", "Logging", "Metrics"},
    "HTTPServer": NIO
    | {
        "SigV4", "Platform", "Records", "JSON", "Crypto", "Logging", "Metrics", "ServiceLifecycle",
    },
    "FirehoseAPI": {
        "HTTPServer", "Records", "JSON", "Platform", "Compression", "CKernels", "NIOCore", "Logging",
        "Metrics",
    },
    "Client": {"Records", "JSON", "Platform", "SigV4", "Egress", "Crypto"},
    "TestSupport": {"Records", "Platform"},
    "DeliveryTesting": ENGINE
    | {
        "Delivery", "DeliveryStreams", "DurableLog", "Egress", "SigV4", "TestSupport", "Transforms",
        "Logging", "NIOCore", "NIOPosix",
    },
    "DeliverySimulation": {
        "Delivery", "Destinations", "JSON", "Platform", "Records", "TestSupport",
    },
    "hydrant": {"HydrantCommand"},
    "simulate": {"DeliverySimulation"},
}  # fmt: skip
# The assembly may import every target but those for tests, and what else a command line needs.
MAY_IMPORT["HydrantCommand"] = (
    MAY_IMPORT.keys() - {"hydrant", "simulate", "TestSupport", "DeliveryTesting", "DeliverySimulation"}
) | {"ArgumentParser", "Configuration", "Logging", "Metrics", "ServiceLifecycle", "SystemPackage",
     "UnixSignals"}  # fmt: skip

DECLARED = re.compile(
    r"\.?(?:library|target|executableTarget)\(\s*(?:name: )?\"(\w+)\",?"
    r"(?:\s*dependencies:)?\s*(\[.*?\])?",
    re.DOTALL,
)
PRODUCT = re.compile(r'let (\w+) = Target\.Dependency\.product\(\s*name: "(\w+)"')


def declared_imports(manifest: str) -> list[tuple[str, set[str], int]]:
    """The dependencies that Package.swift declares for each target of sources, and their lines."""
    products = dict(PRODUCT.findall(manifest))
    found = []
    targets = manifest.index("targets: [", manifest.index("\n    dependencies: ["))
    for match in DECLARED.finditer(manifest, targets):
        listed = re.sub(r"\.product\(name: (\"\w+\"), package: \"[\w-]+\"\)", r"\1", match[2] or "")
        names = set(re.findall(r'"(\w+)"', listed))
        words = re.findall(r'(?<!")\b[a-z]\w+\b(?!")', listed)
        names |= {products[word] for word in words if word in products}
        found.append((match[1], names, manifest.count("\n", 0, match.start()) + 1))
    return found


def problem(target: str, module: str) -> str | None:
    """What is wrong with a target's import of a module."""
    if target not in MAY_IMPORT:
        return f"target {target} has no row in Tests/House/target_imports.py"
    if module in FREE or module in MAY_IMPORT[target]:
        return None
    return f"{target} may not import {module}"


def problems(root: Path, files: dict[Path, Declarations]) -> list[tuple[str, str, str]]:
    """Imports and declared dependencies beside the table: place, subject and what is wrong."""
    found = []
    for path, declared in files.items():
        target = path.relative_to(root / "Sources").parts[0]
        for module, line in declared.imports:
            if wrong := problem(target, module):
                found.append((f"{path.relative_to(root)}:{line}", f"{target}: {module}", wrong))
    for target, modules, line in declared_imports((root / "Package.swift").read_text()):
        for module in sorted(modules):
            if wrong := problem(target, module):
                found.append((f"Package.swift:{line}", f"{target}: {module}", wrong))
    return found
