import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Destinations

@Suite struct EndpointTests {
    @Test func `a URL's parts are told apart, and what is secret is not in its text`() throws {
        let url = try #require(EndpointURL("HTTPS://us%40er:p%3Aw@Host.example:9200/base/"))
        #expect(url.scheme == "https")
        #expect(url.userInfo == "us@er:p:w")
        #expect(url.authority == "Host.example:9200")
        #expect(url.host == "Host.example")
        #expect(url.path == "/base")
        #expect(url.text == "https://Host.example:9200/base")
        #expect(EndpointURL("http://[::1]:9200")?.host == "[::1]")
    }

    @Test(arguments: [
        "", "host", "ftp://host", "http://", "http://ho st", "http://host/\n", "http://h/#f",
        "http://h:x/", "http://h:0", "http://h:99999", "http://[::1]:y",
    ])
    func `what is no URL is refused`(text: String) { #expect(EndpointURL(text) == nil) }

    private func settings(_ text: String) throws -> EndpointSettings {
        let folder = TemporaryFolder()
        let path = folder("settings.json")
        try Folder.replaceFile(path, with: Array(text.utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return try EndpointSettings(path: path)
    }

    @Test func `the first pattern that matches counts`() throws {
        let settings = try settings(
            #"""
            {"endpoints": [
              {"endpoint": "http://a*", "apiKey": "k", "timeoutSeconds": 5},
              {"endpoint": "*", "username": "u", "password": "p", "compression": "GZIP"}]}
            """#
        )
        let first = try #require(EndpointURL("http://abc:1"))
        #expect(settings.entry(for: first)?.access == .apiKey("k"))
        let second = try #require(EndpointURL("http://b"))
        #expect(settings.entry(for: second)?.access == .password(user: "u", password: "p"))
        #expect(settings.entry(for: second)?.isCompressed == true)
    }

    @Test(
        arguments: [
            ("{", "JSON"), ("{}", "endpoints"), (#"{"endpoints": [{}]}"#, "endpoints.0.endpoint"),
            (#"{"endpoints": [{"endpoint": "*", "colour": 1}]}"#, "endpoints.0.colour"),
            (#"{"endpoints": [{"endpoint": "*", "username": "u"}]}"#, "username and password"),
            (
                #"{"endpoints": [{"endpoint": "*", "username": "u", "password": "p", "apiKey": "k"}]}"#,
                "exclude"
            ),
            (#"{"endpoints": [{"endpoint": "*", "timeoutSeconds": 0}]}"#, "timeoutSeconds"),
            (#"{"endpoints": [{"endpoint": "*", "sigV4": {"service": "es"}}]}"#, "sigV4"),
        ]
    )
    func `settings that cannot be are refused with their place`(text: String, part: String) {
        let failure = #expect(throws: EndpointSettings.Failure.self) { try settings(text) }
        if part != "JSON" { #expect(failure?.description.contains(part) == true) }
    }
}
