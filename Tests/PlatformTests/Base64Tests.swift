import CKernels
import Foundation
import TestSupport
import Testing

@Suite struct Base64Tests {
    /// Which of the two decoders.
    private enum Form: CaseIterable {
        case vector
        case portable
    }

    /// Decodes into a block of exactly the promised size between two fences.
    private func decode(_ text: [UInt8], _ form: Form) -> (bytes: [UInt8], consumed: Int) {
        let room = text.count / 4 * 3 + 3
        var space = [UInt8](repeating: 0xa5, count: room + 64)
        var consumed = 0
        let written = space.withUnsafeMutableBufferPointer { target in
            text.withUnsafeBufferPointer { source in
                switch form {
                case .vector:
                    hydrant_base64_decode(
                        source.baseAddress,
                        source.count,
                        target.baseAddress,
                        &consumed
                    )
                case .portable:
                    hydrant_base64_decode_portable(
                        source.baseAddress,
                        source.count,
                        target.baseAddress,
                        &consumed
                    )
                }
            }
        }
        #expect(space[room...].allSatisfy { $0 == 0xa5 }, "wrote behind the promised room")
        return (Array(space[..<written]), consumed)
    }

    @Test func `both forms decode what Foundation encodes, at every length`() {
        var generator = SeededGenerator(seed: 4)
        for count in 0..<300 {
            let bytes = generator.bytes(count)
            let text = Array(Data(bytes).base64EncodedString().utf8)
            let plain = text.filter { $0 != UInt8(ascii: "=") }
            for form in Form.allCases {
                let (decoded, consumed) = decode(text, form)
                #expect(decoded == bytes)
                #expect(consumed == plain.count)
            }
        }
    }

    @Test func `decoding stops at the first byte outside the alphabet, whatever it is`() {
        var generator = SeededGenerator(seed: 5)
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
        )
        let others = (UInt8.min...UInt8.max).filter { !alphabet.contains($0) }
        for other in others {
            for _ in 0..<20 {
                let count = Int.random(in: 0..<150, using: &generator)
                var text = (0..<150).map { _ in alphabet.randomElement(using: &generator) ?? 65 }
                text[count] = other
                let fast = decode(text, .vector)
                let portable = decode(text, .portable)
                #expect(fast.consumed == count)
                #expect(fast == portable)
            }
        }
    }

    @Test func `both forms encode as Foundation does, at every length, and write nothing else`() {
        var generator = SeededGenerator(seed: 6)
        for count in 0..<300 {
            let bytes = generator.bytes(count)
            let expected = Array(Data(bytes).base64EncodedString().utf8)
            for encode in [hydrant_base64_encode, hydrant_base64_encode_portable] {
                var space = [UInt8](repeating: 0xa5, count: expected.count + 64)
                let written = encode(bytes, count, &space)
                #expect(Array(space[..<written]) == expected)
                #expect(space[written...].allSatisfy { $0 == 0xa5 })
            }
        }
    }
}
