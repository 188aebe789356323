import Platform
import Records
import Testing

@testable import Transforms

@Suite struct RuntimeSessionTests {
    private func invocation(_ id: String) -> RuntimeSession.Invocation {
        RuntimeSession.Invocation(
            requestID: id,
            event: TransformEvent.Builder(
                invocationID: id,
                streamARN: "",
                region: "",
                capacity: 1000
            ).build(),
            deadline: Timestamp(milliseconds: 0)
        )
    }

    /// Answers each invocation that it is given as soon as it is there.
    private func serve(_ session: RuntimeSession) {
        _ = session.next { invocation in
            #expect(session.report(invocation.requestID, .success(Block([1]))) == .accepted)
        }
    }

    @Test func `it does not matter who comes first`() async throws {
        let session = RuntimeSession()
        serve(session)
        #expect(try await session.invoke(invocation("a")).bytes.first == 1)
        async let second = session.invoke(invocation("b"))
        // The process may ask before or after: both ends in an answer.
        serve(session)
        #expect(try await second.bytes.first == 1)
    }

    @Test func `an answer to anything but the current invocation is refused`() async throws {
        let session = RuntimeSession()
        #expect(session.report("a", .success(Block([]))) == .unknownRequest)
        _ = session.next { invocation in
            #expect(session.report("other", .success(Block([]))) == .unknownRequest)
            #expect(session.report(invocation.requestID, .success(Block([7]))) == .accepted)
            #expect(session.report(invocation.requestID, .success(Block([8]))) == .unknownRequest)
        }
        #expect(try await session.invoke(invocation("a")).bytes.first == 7)
        #expect(session.report("a", .success(Block([]))) == .unknownRequest)
    }

    @Test func `after a failure every invocation fails with its first reason`() async {
        let session = RuntimeSession()
        session.initializationFailed("no module")
        session.fail("it ended with status 1")
        await #expect {
            try await session.invoke(invocation("a"))
        } throws: { error in
            (error as? InvocationFailure)?.reason.contains("no module") == true
        }
    }

    @Test func `a connection that is gone gets no invocation`() async throws {
        let session = RuntimeSession()
        let token = session.next { _ in Issue.record("nobody is there") }
        session.forget(token)
        async let answer = session.invoke(invocation("a"))
        _ = session.next { invocation in
            _ = session.report(invocation.requestID, .success(Block([2])))
        }
        #expect(try await answer.bytes.first == 2)
    }
}
