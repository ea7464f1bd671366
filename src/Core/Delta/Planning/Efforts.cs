namespace Coppice.Delta.Planning;

static class Efforts
{
    public static PlanEffort Of(PatchLevel level) => level switch
    {
        PatchLevel.Fast => new([], [], 1 << 14),
        PatchLevel.Max => new([4, 8, 16, 24, 32], [0.5, 1, 0.7, 0.35, 0.2, 0.1], 1 << 16),
        _ => new([8, 16, 32], [0.5, 0.25, 1], 1 << 15),
    };
}
