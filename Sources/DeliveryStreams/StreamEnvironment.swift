internal import Delivery
internal import Records
internal import Transforms

/// What all streams of a server are made with.
struct StreamEnvironment: Sendable {
    var logs: any RecordLogs
    var delivery: DeliveryEnvironment
    var transforms: TransformEnvironment

    var time: any TimeSource { delivery.options.time }

    /// Waits for what is under way on all threads, and ends them.
    func close() {
        transforms.close()
        delivery.close()
    }
}
