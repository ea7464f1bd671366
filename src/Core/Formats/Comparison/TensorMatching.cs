namespace Coppice.Formats.Comparison;

/// <summary>Which tensor of the new model is which of the old one.</summary>
/// <remarks>
/// Exporters number tensors anew, so a name is not proof. In this order: the same name and bytes; the same bytes; the same
/// name, type and shape; the closest values of the same type and shape; the same name with another type or shape.
/// </remarks>
sealed class TensorMatching(ModelContent before, ModelContent after, TensorComparer comparer)
{
    /// <summary>Half the energy of both, which tensors that have nothing to do with one another lie well above.</summary>
    const double Likeness = 0.5;

    /// <summary>Shorter tensors are the same too easily: a shape, a zero, a scale of one.</summary>
    const int TellingBytes = 32;

    /// <summary>Tensors of one type and shape without a partner that are compared with each other at most; others stay added and removed.</summary>
    const int MostCandidates = 512;

    readonly Dictionary<TensorEntry, TensorEntry> partner = new(ReferenceEqualityComparer.Instance); // new to old
    List<TensorEntry> gone = [.. before.File.Tensors];
    List<TensorEntry> come = [.. after.File.Tensors];

    /// <summary>Every tensor of both models once, in the new model's order; those that went come last.</summary>
    public List<(TensorEntry? Old, TensorEntry? New)> Pairs()
    {
        MatchByName((old, tensor) => Fits(old, tensor) && AreSame(old, tensor));
        MatchByBytes();
        MatchByName(Fits);
        MatchByLikeness();
        MatchByName((_, _) => true);
        return
        [
            .. after.File.Tensors.Select(tensor => (partner.GetValueOrDefault(tensor), (TensorEntry?)tensor)),
            .. gone.Select(tensor => ((TensorEntry?)tensor, (TensorEntry?)null)),
        ];
    }

    static bool Fits(TensorEntry old, TensorEntry tensor) =>
        old.Type == tensor.Type && old.Meaning == tensor.Meaning && old.Shape.AsSpan().SequenceEqual(tensor.Shape.AsSpan());

    bool AreSame(TensorEntry old, TensorEntry tensor) =>
        before.Open(old) is { } oldBytes && after.Open(tensor) is { } newBytes && comparer.AreSame(oldBytes, newBytes);

    void MatchByName(Func<TensorEntry, TensorEntry, bool> rule)
    {
        var byName = gone.ToDictionary(tensor => tensor.Name);
        foreach (var tensor in come)
        {
            if (byName.TryGetValue(tensor.Name, out var old) && rule(old, tensor))
                partner.Add(tensor, old);
        }
        DropMatched();
    }

    void DropMatched()
    {
        var matched = new HashSet<TensorEntry>(partner.Values, ReferenceEqualityComparer.Instance);
        gone = [.. gone.Where(tensor => !matched.Contains(tensor))];
        come = [.. come.Where(tensor => !partner.ContainsKey(tensor))];
    }

    void MatchByBytes()
    {
        var layouts = gone.Where(tensor => tensor.Length >= TellingBytes).Select(TypeAndShape).ToHashSet();
        layouts.IntersectWith(come.Select(TypeAndShape)); // only these need their bytes read
        var byDigest = new Dictionary<(string, UInt128), Queue<TensorEntry>>();
        foreach (var tensor in gone)
        {
            if (!layouts.Contains(TypeAndShape(tensor)) || before.Open(tensor) is not { } bytes)
                continue;
            var key = (TypeAndShape(tensor), comparer.Digest(bytes));
            if (!byDigest.TryGetValue(key, out var queue))
                byDigest.Add(key, queue = new());
            queue.Enqueue(tensor);
        }
        foreach (var tensor in come)
        {
            if (layouts.Contains(TypeAndShape(tensor)) && after.Open(tensor) is { } bytes
                && byDigest.TryGetValue((TypeAndShape(tensor), comparer.Digest(bytes)), out var queue) && queue.TryDequeue(out var old))
                partner.Add(tensor, old);
        }
        DropMatched();
    }

    void MatchByLikeness()
    {
        var pairs = new List<(double Distance, TensorEntry Old, TensorEntry New)>();
        var newcomers = come.ToLookup(TypeAndShape);
        foreach (var group in gone.GroupBy(TypeAndShape))
        {
            if (group.Count() > MostCandidates || newcomers[group.Key].Count() is 0 or > MostCandidates)
                continue;
            var candidates = newcomers[group.Key].Select(tensor => (Tensor: tensor, Sample: Sampled(after, tensor))).ToList();
            foreach (var old in group)
            {
                var sample = Sampled(before, old);
                foreach (var candidate in candidates)
                {
                    if (Distance(sample, candidate.Sample) is var distance and < Likeness)
                        pairs.Add((distance, old, candidate.Tensor));
                }
            }
        }

        var taken = new HashSet<TensorEntry>(ReferenceEqualityComparer.Instance);
        foreach (var (_, old, tensor) in pairs.OrderBy(pair => pair.Distance)) // a stable sort: the file's order decides ties
        {
            if (!partner.ContainsKey(tensor) && taken.Add(old))
                partner.Add(tensor, old);
        }
        DropMatched();
    }

    static string TypeAndShape(TensorEntry tensor) => $"{tensor.Type} {tensor.CodedType} {string.Join(',', tensor.Shape)}";

    float[] Sampled(ModelContent content, TensorEntry tensor) => content.Open(tensor) is { } bytes ? comparer.Sample(tensor, bytes) : [];

    /// <summary>‖a - b‖² / (‖a‖² + ‖b‖²): 0 for the same, about 1 for tensors that have nothing to do with one another.</summary>
    static double Distance(float[] left, float[] right)
    {
        if (left.Length == 0 || right.Length == 0)
            return 1;
        double apart = 0, both = 0;
        for (var i = 0; i < Math.Min(left.Length, right.Length); i++)
        {
            apart += Math.Pow((double)left[i] - right[i], 2);
            both += (double)left[i] * left[i] + (double)right[i] * right[i];
        }
        return apart == 0 ? 0 : double.IsFinite(apart) ? apart / both : 1;
    }
}
