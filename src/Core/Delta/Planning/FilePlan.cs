using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>What is done with a range of the new file.</summary>
enum StepKind
{
    /// <summary>It is the same as an old range.</summary>
    Copy,
    /// <summary>It is a tensor that is planned.</summary>
    Tensor,
    /// <summary>It goes through the pool: bytes between tensors.</summary>
    Pool,
    /// <summary>It is a long run of other bytes.</summary>
    Bytes,
}

/// <param name="Kind">What is done.</param>
/// <param name="Part">The range.</param>
/// <param name="From">First old byte of a copy.</param>
sealed record PlanStep(StepKind Kind, AlignedPart Part, long From = 0);

/// <summary>The new file cut into steps, in its order.</summary>
static class FilePlan
{
    /// <summary>Longer runs of bytes are coded where they stand.</summary>
    const int MostPooled = 1 << 16;

    public static List<PlanStep> WholeAsBytes(IByteSource made) =>
        made.Length == 0 ? [] : [new(StepKind.Bytes, new("", 0, made.Length, null, [], null))];

    public static List<PlanStep> Of(OldFiles old, IReadOnlyList<PatchSource> oldSources, PatchSource made)
    {
        var steps = new List<PlanStep>();
        var at = 0L;
        foreach (var part in made.Tensors.Tensors.IsEmpty ? TypeSniffer.Pieces(old, made.Bytes) : Alignment.Of(old, oldSources, made))
        {
            Gap(old, made.Bytes, at, part.Offset, steps);
            at = part.End;
            if (part.Old is { Transposed: false } past && past.Length == part.Length && Same(old, past.Offset, made.Bytes, part.Offset, part.Length))
                AddCopy(steps, part, past.Offset);
            else
                steps.Add(new(part.Lattice is null && part.Stride == 1 ? StepKind.Bytes : StepKind.Tensor, part));
        }
        Gap(old, made.Bytes, at, made.Bytes.Length, steps);
        return steps;
    }

    static void Gap(OldFiles old, IByteSource made, long start, long end, List<PlanStep> steps)
    {
        if (start == end)
            return;
        var gap = new AlignedPart("", start, end - start, null, [], null);
        // What followed the old tensor most likely follows the new one.
        var natural = steps.Count == 0 ? 0 : steps[^1] switch
        {
            { Kind: StepKind.Copy } copy => copy.From + copy.Part.Length,
            { Part.Old: { } past } => past.Offset + past.Length,
            _ => -1,
        };
        if (natural >= 0 && natural + gap.Length <= old.Length && Same(old, natural, made, start, gap.Length))
            AddCopy(steps, gap, natural);
        else
            steps.Add(new(gap.Length > MostPooled ? StepKind.Bytes : StepKind.Pool, gap));
    }

    static void AddCopy(List<PlanStep> steps, AlignedPart part, long from)
    {
        if (steps.Count > 0 && steps[^1] is { Kind: StepKind.Copy } last && last.From + last.Part.Length == from)
            steps[^1] = last with { Part = last.Part with { Length = last.Part.Length + part.Length, Name = last.Part.Name.Length == 0 ? part.Name : last.Part.Name + " …" } };
        else
            steps.Add(new(StepKind.Copy, part, from));
    }

    static bool Same(OldFiles old, long from, IByteSource made, long start, long length)
    {
        var (a, b) = (new byte[(int)Math.Min(length, 1 << 16)], new byte[(int)Math.Min(length, 1 << 16)]);
        for (var at = 0L; at < length; at += a.Length)
        {
            var count = (int)Math.Min(a.Length, length - at);
            old.Read(from + at, a.AsSpan(0, count));
            made.Read(start + at, b.AsSpan(0, count));
            if (!a.AsSpan(0, count).SequenceEqual(b.AsSpan(0, count)))
                return false;
        }
        return true;
    }
}
