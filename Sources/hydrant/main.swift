internal import HydrantCommand

await Program.main()
