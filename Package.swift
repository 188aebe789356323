// swift-tools-version: 6.2

import PackageDescription

let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let lifecycle = Target.Dependency.product(
    name: "ServiceLifecycle",
    package: "swift-service-lifecycle"
)

/// A library target of ours: strict settings, one name.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// The tests of one target, in `Tests/<name>Tests`.
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: [.target(name: name), "TestSupport"] + dependencies,
        swiftSettings: settings
    )
}

let package = Package(
    name: "hydrant",
    platforms: [.macOS(.v26)],
    products: [.executable(name: "hydrant", targets: ["hydrant"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", .upToNextMinor(from: "2.101.0")),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", .upToNextMinor(from: "2.37.0")),
        .package(url: "https://github.com/apple/swift-crypto.git", .upToNextMinor(from: "4.5.0")),
        .package(url: "https://github.com/apple/swift-log.git", .upToNextMinor(from: "1.16.0")),
        .package(url: "https://github.com/apple/swift-metrics.git", .upToNextMinor(from: "2.13.0")),
        .package(
            url: "https://github.com/apple/swift-argument-parser.git",
            .upToNextMinor(from: "1.8.0")
        ),
        .package(
            url: "https://github.com/apple/swift-configuration.git",
            .upToNextMinor(from: "1.4.0")
        ),
        .package(
            url: "https://github.com/swiftlang/swift-subprocess.git",
            .upToNextMinor(from: "1.0.0"),
            traits: []
        ),
        .package(url: "https://github.com/apple/swift-system.git", .upToNextMinor(from: "1.8.0")),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git",
            .upToNextMinor(from: "2.13.0")
        ),
    ],
    targets: [
        .systemLibrary(
            name: "CZlib",
            pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"])]
        ),
        .systemLibrary(
            name: "CCurl",
            pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]
        ),
        .target(name: "CKernels"),
        library("Platform", ["CKernels"]),
        library("JSON"),
        library("Records", ["JSON"]),
        library("Compression", ["CZlib"]),
        library("Observability", ["Platform", "Records", coreMetrics]),
        library("SigV4", ["Records", "Platform", crypto]),
        library("Egress", ["CCurl", "Platform"]),
        library("Encryption", ["Platform", crypto]),
        library("DurableLog", ["Records", "Platform", "Encryption", logging]),
        library(
            "Destinations",
            [
                "Records", "JSON", "SigV4", "Egress", "Compression", "Platform",
                crypto, subprocess, systemPackage,
            ]
        ),
        library(
            "Delivery",
            [
                "Records", "JSON", "Destinations", "Compression", "Platform", "Encryption", crypto,
                logging, metrics,
            ]
        ),
        library(
            "Transforms",
            [
                "Records", "JSON", "Platform", "Compression", "CKernels", "Destinations",
                "Delivery", subprocess, systemPackage, nioCore, nioPosix, nioHTTP1, crypto,
                logging, metrics,
            ]
        ),
        library(
            "DeliveryStreams",
            [
                "Records", "JSON", "Platform", "Destinations", "Delivery", "Transforms",
                crypto, logging, metrics,
            ]
        ),
        library(
            "HTTPServer",
            [
                "Records", "JSON", "Platform", "SigV4", nioCore, nioPosix, nioHTTP1, nioSSL,
                crypto, logging, metrics, lifecycle,
            ]
        ),
        library(
            "FirehoseAPI",
            [
                "HTTPServer", "Records", "JSON", "Platform", "Compression", "CKernels", nioCore,
                logging, metrics,
            ]
        ),
        library("Client", ["Records", "JSON", "Platform", "SigV4", "Egress", crypto]),
        .target(
            name: "HydrantCommand",
            dependencies: [
                "Records", "JSON", "Platform", "SigV4", "Egress", "Encryption", "DurableLog",
                "Compression",
                "Destinations", "Delivery", "Transforms", "DeliveryStreams", "HTTPServer",
                "FirehoseAPI", "Client", "Observability",
                logging, metrics, lifecycle, systemPackage,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
            ],
            exclude: ["Hydrant.docc"],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "hydrant",
            dependencies: ["HydrantCommand"],
            swiftSettings: settings
        ),
        library("TestSupport", ["Records", "Platform"]),
        library(
            "DeliveryTesting",
            [
                "TestSupport", "Records", "JSON", "Platform", "SigV4", "Egress", "DurableLog",
                "Destinations", "Delivery", "Transforms", "DeliveryStreams", nioCore, nioPosix,
                logging,
            ]
        ),
        library(
            "DeliverySimulation",
            ["TestSupport", "Records", "JSON", "Platform", "Destinations", "Delivery"]
        ),
        .executableTarget(
            name: "simulate",
            dependencies: ["DeliverySimulation"],
            swiftSettings: settings
        ),
        tests("Platform", ["CKernels"]),
        tests("Records", ["JSON"]),
        tests("JSON"),
        tests("Compression", ["CZlib"]),
        tests("Observability", ["Platform", "Records", coreMetrics]),
        tests("SigV4", ["Records", "Platform", crypto]),
        tests("Egress", ["Platform", nioCore, nioPosix]),
        tests("Encryption", ["Platform"]),
        tests("DurableLog", ["DeliveryTesting", "Records", "Platform", "Encryption", logging]),
        tests("Destinations", ["Records", "JSON", "Platform", "SigV4", "Egress"]),
        tests(
            "Delivery",
            [
                "DeliveryTesting", "DeliverySimulation", "Records", "JSON", "Destinations",
                "Platform",
                "Compression", "Encryption", logging, metrics,
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ]
        ),
        tests(
            "Transforms",
            [
                "DeliveryTesting", "Records", "JSON", "Delivery", "Platform", "Compression",
                crypto, logging,
            ]
        ),
        tests(
            "DeliveryStreams",
            [
                "DeliveryTesting", "Records", "JSON", "Destinations", "Delivery", "Transforms",
                "Platform", logging, metrics,
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ]
        ),
        tests("Client", ["Records"]),
        tests("HydrantCommand", ["Records"]),
        tests(
            "HTTPServer",
            [
                "Records", "JSON", "Platform", "SigV4", "Egress", nioCore, nioPosix, nioHTTP1,
                crypto, logging,
            ]
        ),
        tests(
            "FirehoseAPI",
            ["HTTPServer", "Records", "JSON", "Egress", nioCore, nioHTTP1, logging]
        ),
    ]
)
