import Records
import Testing

@testable import HydrantCommand

@Suite struct DescriptorPlanTests {
    /// All that the plan allows for, but what delivery needs beside it.
    private func shared(_ plan: DescriptorPlan) -> Int {
        plan.connections + plan.endpointConnections + plan.bucketConnections + plan.openSegments
            + (plan.isAmple ? 0 : 12 * plan.transformProcesses)
    }

    @Test(arguments: [1, 2, 8, 64], [134, 160, 256, 1024, 4096, 16384, 65536, 1_048_576])
    func `what is shared out leaves enough for delivery`(cores: Int, limit: Int) {
        let plan = DescriptorPlan(limit: limit, cores: cores)
        guard plan.isEnough else {
            #expect(limit < plan.minimum)
            return
        }
        let left = limit - (32 + 3 * cores) - shared(plan)
        // Spool files, journals, checkpoints, and the pipes of transforms.
        #expect(left >= 24)
        #expect(plan.connections >= 8)
        #expect(plan.openSegments >= 4)
    }

    @Test func `with an ample limit nothing is bounded`() {
        let plan = DescriptorPlan(limit: DescriptorPlan.ample + 256, cores: 2)
        #expect(plan.isAmple)
        #expect(plan.connections == Limits.maximumConnections)
        #expect(plan.endpointConnections > Limits.maximumEndpointConnections / 100 * 99)
        #expect(plan.bucketConnections == Limits.maximumBucketConnections)
        #expect(plan.openSegments > Limits.maximumOpenSegments / 100 * 99)
        #expect(!DescriptorPlan(limit: DescriptorPlan.ample - 1, cores: 2).isAmple)
    }

    @Test func `the least limit is enough, and one less is not`() {
        let plan = DescriptorPlan(limit: 64, cores: 2)
        #expect(!plan.isEnough)
        #expect(DescriptorPlan(limit: plan.minimum, cores: 2).isEnough)
        #expect(!DescriptorPlan(limit: plan.minimum - 1, cores: 2).isEnough)
    }

    @Test func `a shortage is told before nothing is left`() throws {
        let plan = DescriptorPlan(limit: 256, cores: 2)
        #expect(plan.shortage(openCount: 200) == nil)
        let words = try #require(plan.shortage(openCount: 246))
        #expect(words.contains("246 of 256 file descriptors are in use"))
        #expect(words.contains("ulimit -n"))
    }
}
