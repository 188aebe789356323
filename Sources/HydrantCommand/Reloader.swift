internal import HTTPServer
internal import Logging
internal import ServiceLifecycle
internal import UnixSignals

/// Reads credentials and certificates again when SIGHUP comes.
struct Reloader: Service {
    let access: AccessControl?
    let transportSecurity: TransportSecurity?
    let logger: Logger

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        for await _ in signals.cancelOnGracefulShutdown() { reload() }
    }

    private func reload() {
        if access == nil, transportSecurity == nil {
            logger.info("SIGHUP: there are neither credentials nor certificates to read again")
        }
        if let access {
            attempt("the credentials are not read again, the former stay") {
                let keys = try access.reload()
                logger.info("credentials read again", metadata: ["keys": "\(keys)"])
            }
        }
        if let transportSecurity {
            attempt("the certificate is not read again, the former stays") {
                try transportSecurity.reload()
                logger.info("certificate read again")
            }
        }
    }

    private func attempt(_ trouble: Logger.Message, _ work: () throws -> Void) {
        do {
            try work()
        } catch {
            logger.error(trouble, metadata: ["error": "\(error)"])
        }
    }
}
