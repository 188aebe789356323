internal import CCurl
internal import Platform

/// One exchange: the easy handle's callbacks and what they gather.
///
/// Unchecked because it is made by the caller, and from its submission on touched by the poll thread
/// alone, until the continuation is resumed.
final class Transfer: @unchecked Sendable {
    let request: HTTPRequest
    private let continuation: CheckedContinuation<HTTPResponse, any Error>
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var sent: UInt64 = 0
    private var isResent = false
    private var headers: [(name: String, value: String)] = []
    private var body: [UInt8] = []
    private var received = 0
    private var failure: EgressError?
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    init(_ request: HTTPRequest, _ continuation: CheckedContinuation<HTTPResponse, any Error>) {
        self.request = request
        self.continuation = continuation
        errorText.pointee = 0
    }

    deinit {
        curl_slist_free_all(headerList)
        errorText.deallocate()
    }

    /// Sets everything up on a handle that is fresh or reset.
    func prepare(_ easy: UnsafeMutableRawPointer) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        hydrant_set_string(easy, CURLOPT_URL, request.url)
        hydrant_set_long(easy, CURLOPT_NOSIGNAL, 1)
        if let path = request.certificateAuthorities {
            hydrant_set_string(easy, CURLOPT_CAINFO, path)
        }
        hydrant_set_long(easy, CURLOPT_PATH_AS_IS, 1)
        hydrant_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        hydrant_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        hydrant_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1)
        hydrant_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, 10_000)
        hydrant_set_long(easy, CURLOPT_TIMEOUT_MS, request.timeout.milliseconds)
        hydrant_set_long(easy, CURLOPT_LOW_SPEED_LIMIT, 1)
        hydrant_set_long(
            easy,
            CURLOPT_LOW_SPEED_TIME,
            max(1, request.stallTimeout.milliseconds / 1000)
        )
        hydrant_set_long(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512 * 1024)
        hydrant_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        hydrant_set_data_callback(easy, CURLOPT_WRITEFUNCTION, receiveBody)
        hydrant_set_pointer(easy, CURLOPT_WRITEDATA, context)
        hydrant_set_data_callback(easy, CURLOPT_HEADERFUNCTION, receiveHeader)
        hydrant_set_pointer(easy, CURLOPT_HEADERDATA, context)
        prepareBody(easy, context)
        hydrant_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method)
        for (name, value) in request.headers {
            // A header without a value is written with a semicolon for curl.
            let line = value.isEmpty ? "\(name);" : "\(name): \(value)"
            headerList = curl_slist_append(headerList, line)
        }
        if let headerList { hydrant_set_pointer(easy, CURLOPT_HTTPHEADER, headerList) }
    }

    private func prepareBody(
        _ easy: UnsafeMutableRawPointer,
        _ context: UnsafeMutableRawPointer
    ) {
        let count: UInt64
        switch request.body {
        case .none:
            if request.method == "HEAD" { hydrant_set_long(easy, CURLOPT_NOBODY, 1) }
            return
        case .bytes(let bytes): count = UInt64(bytes.count)
        case .source(_, let bytes): count = bytes
        }
        hydrant_set_long(easy, CURLOPT_UPLOAD, 1)
        // curl would ask with every upload, and wait a second where nobody answers.
        // What is in memory anyway is sent at once.
        var isInMemory = false
        if case .bytes = request.body { isInMemory = true }
        if count < 1_000_000 || isInMemory { headerList = curl_slist_append(headerList, "Expect:") }
        hydrant_set_size(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(count))
        hydrant_set_data_callback(easy, CURLOPT_READFUNCTION, provideBody)
        hydrant_set_pointer(easy, CURLOPT_READDATA, context)
        hydrant_set_seek_callback(easy, seekBody)
        hydrant_set_pointer(easy, CURLOPT_SEEKDATA, context)
    }

    /// Fills a piece of the body; nil where it cannot be read.
    fileprivate func provide(_ space: UnsafeMutableRawBufferPointer) -> Int? {
        switch request.body {
        case .none: return 0
        case .bytes(let bytes):
            let count = min(space.count, bytes.count - Int(sent))
            bytes.withUnsafeBytes { all in
                space.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: all[Int(sent)..<Int(sent) + count])
                )
            }
            sent += UInt64(count)
            return count
        case .source(let source, let total):
            let most = Int(min(UInt64(space.count), total - sent))
            do throws(SystemError) {
                let count = try source.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: space[..<most]),
                    at: sent
                )
                guard count > 0 || most == 0 else {
                    failure = EgressError(
                        kind: .bodyUnreadable,
                        message: "the content has fewer bytes than were announced"
                    )
                    return nil
                }
                sent += UInt64(count)
                return count
            } catch {
                failure = EgressError(kind: .bodyUnreadable, message: "\(error)")
                return nil
            }
        }
    }

    /// Curl sends the body anew: the connection that was kept open had ended.
    fileprivate func seek(to offset: UInt64) {
        isResent = isResent || sent > offset
        sent = offset
    }

    fileprivate func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        received += bytes.count
        guard received <= request.maximumResponseBytes else {
            failure = EgressError(
                kind: .responseTooLarge,
                message: "the answer has more than \(request.maximumResponseBytes) bytes"
            )
            return false
        }
        guard let reader = request.responseReader else {
            body.append(contentsOf: bytes)
            return true
        }
        guard reader.receive(bytes) else {
            failure = EgressError(
                kind: .responseRefused,
                message: "the answer is not what was expected"
            )
            return false
        }
        return true
    }

    fileprivate func receive(headerLine line: String) {
        if line.hasPrefix("HTTP/") {
            headers.removeAll()  // after a 100 Continue the final answer begins anew
            return
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        headers.append(
            (
                String(line[..<colon]),
                line[line.index(after: colon)...].trimmed
            )
        )
    }

    /// Ends the exchange: resumes whoever waits.
    func finish(_ easy: UnsafeMutableRawPointer, result: CURLcode) {
        guard result == CURLE_OK else {
            let text = String(cString: errorText)
            let message = text.isEmpty ? String(cString: curl_easy_strerror(result)) : text
            var error = failure ?? EgressError(kind: .init(result), message: message)
            error.hasSent = sent > 0 || isResent
            return continuation.resume(throwing: error)
        }
        var status = 0
        hydrant_get_long(easy, CURLINFO_RESPONSE_CODE, &status)
        continuation.resume(
            returning: HTTPResponse(
                status: status,
                headers: headers,
                body: body,
                isResent: isResent
            )
        )
    }

    /// Ends it because the caller no longer wants it.
    func cancel() { continuation.resume(throwing: CancellationError()) }
}

private func transfer(_ context: UnsafeMutableRawPointer?) -> Transfer? {
    context.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
}

private let provideBody: hydrant_data_callback = { buffer, size, count, context in
    let space = UnsafeMutableRawBufferPointer(start: buffer, count: size * count)
    return transfer(context)?.provide(space) ?? Int(CURL_READFUNC_ABORT)
}

private let seekBody: hydrant_seek_callback = { context, offset, origin in
    guard origin == SEEK_SET, let transfer = transfer(context) else { return CURL_SEEKFUNC_FAIL }
    transfer.seek(to: UInt64(offset))
    return CURL_SEEKFUNC_OK
}

private let receiveBody: hydrant_data_callback = { buffer, size, count, context in
    let bytes = UnsafeRawBufferPointer(start: buffer, count: size * count)
    return transfer(context)?.receive(bytes) == true ? size * count : 0
}

private let receiveHeader: hydrant_data_callback = { buffer, size, count, context in
    let bytes = UnsafeRawBufferPointer(start: buffer, count: size * count)
    transfer(context)?.receive(headerLine: String(decoding: bytes, as: UTF8.self))
    return size * count
}

extension EgressError.Kind {
    init(_ code: CURLcode) {
        self =
            switch code {
            case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .unresolved
            case CURLE_COULDNT_CONNECT: .unreachable
            case CURLE_OPERATION_TIMEDOUT: .timeout
            case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE:
                .connectionLost
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
                CURLE_SSL_CERTPROBLEM:
                .tls
            default: .other
            }
    }
}

extension Duration {
    var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}

extension Substring {
    /// Without white space and line ends around it.
    fileprivate var trimmed: String {
        var rest = self
        while let last = rest.last, last.isWhitespace || last.isNewline { rest.removeLast() }
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        return String(rest)
    }
}
