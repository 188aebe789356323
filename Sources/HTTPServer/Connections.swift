internal import Metrics
internal import NIOCore
internal import Synchronization

/// The open connections, for the bound on their number and for the end.
final class Connections: Sendable {
    private let maximum: Int
    private let meter: Meter
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    init(maximum: Int, _ meter: Meter) {
        self.maximum = maximum
        self.meter = meter
    }

    /// Takes a new connection in; false where there are enough.
    func add(_ channel: any Channel) -> Bool {
        let isTaken = channels.withLock { channels in
            guard channels.count < maximum else { return false }
            channels[ObjectIdentifier(channel)] = channel
            return true
        }
        if isTaken {
            meter.increment()
            channel.closeFuture.whenComplete { _ in
                self.meter.decrement()
                self.channels.withLock { $0[ObjectIdentifier(channel)] = nil }
            }
        }
        return isTaken
    }

    /// Has each connection finish its request and close; closes what is left after the period.
    func quiesce(within period: Duration, on eventLoop: any EventLoop) async {
        let open = channels.withLock { Array($0.values) }
        for channel in open {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        let deadline = eventLoop.scheduleTask(in: TimeAmount(period)) {
            for channel in open { channel.close(promise: nil) }
        }
        for channel in open { try? await channel.closeFuture.get() }
        deadline.cancel()
    }
}
