namespace Coppice.Formats.Comparison;

/// <summary>Which tensor of the new model is which of the old one: by name, then by bytes, then by likeness.</summary>
sealed class TensorMatching(ModelContent before, ModelContent after, TensorComparer comparer)
{
    /// <summary>Half the energy of both, which tensors that have nothing to do with one another lie well above.</summary>
    const double Likeness = 0.5;

    /// <summary>Tensors of one type and shape without a partner that are compared with each other at most; others stay added and removed.</summary>
    const int MostCandidates = 512;

    /// <summary>Every tensor of both models once, in the new model's order; those that went come last.</summary>
    public List<(TensorEntry? Old, TensorEntry? New)> Pairs()
    {
        var byName = before.File.Tensors.ToDictionary(tensor => tensor.Name);
        var partner = new Dictionary<TensorEntry, TensorEntry>(ReferenceEqualityComparer.Instance);
        foreach (var tensor in after.File.Tensors)
        {
            if (byName.Remove(tensor.Name, out var same))
                partner.Add(tensor, same);
        }

        var gone = before.File.Tensors.Where(tensor => byName.ContainsKey(tensor.Name)).ToList();
        var come = after.File.Tensors.Where(tensor => !partner.ContainsKey(tensor)).ToList();
        MatchByBytes(gone, come, partner);
        MatchByLikeness(gone, come, partner);

        var matched = new HashSet<TensorEntry>(partner.Values, ReferenceEqualityComparer.Instance);
        return [
            .. after.File.Tensors.Select(tensor => (partner.GetValueOrDefault(tensor), (TensorEntry?)tensor)),
            .. before.File.Tensors.Where(tensor => !matched.Contains(tensor)).Select(tensor => ((TensorEntry?)tensor, (TensorEntry?)null)),
        ];
    }

    void MatchByBytes(List<TensorEntry> gone, List<TensorEntry> come, Dictionary<TensorEntry, TensorEntry> partner)
    {
        var lengths = gone.Select(tensor => (tensor.Meaning, tensor.Length)).ToHashSet();
        lengths.IntersectWith(come.Select(tensor => (tensor.Meaning, tensor.Length))); // only these need their bytes read
        var byDigest = new Dictionary<(ElementType, long, UInt128), Queue<TensorEntry>>();
        foreach (var tensor in gone.Where(tensor => lengths.Contains((tensor.Meaning, tensor.Length))))
        {
            if (before.Open(tensor) is not { } bytes)
                continue;
            var key = (tensor.Meaning, tensor.Length, comparer.Digest(bytes));
            if (!byDigest.TryGetValue(key, out var queue))
                byDigest.Add(key, queue = new());
            queue.Enqueue(tensor);
        }
        var found = new HashSet<TensorEntry>(ReferenceEqualityComparer.Instance);
        foreach (var tensor in come.Where(tensor => lengths.Contains((tensor.Meaning, tensor.Length))))
        {
            if (after.Open(tensor) is { } bytes && byDigest.TryGetValue((tensor.Meaning, tensor.Length, comparer.Digest(bytes)), out var queue)
                && queue.TryDequeue(out var same))
            {
                partner.Add(tensor, same);
                found.Add(same);
            }
        }
        come.RemoveAll(partner.ContainsKey);
        gone.RemoveAll(found.Contains);
    }

    void MatchByLikeness(List<TensorEntry> gone, List<TensorEntry> come, Dictionary<TensorEntry, TensorEntry> partner)
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
    }

    static string TypeAndShape(TensorEntry tensor) => $"{tensor.Meaning} {string.Join(',', tensor.Shape)}";

    float[] Sampled(ModelContent content, TensorEntry tensor) => content.Open(tensor) is { } bytes ? comparer.Sample(tensor, bytes) : [];

    /// <summary>‖a - b‖² / (‖a‖² + ‖b‖²): 0 for the same, about 1 for tensors that have nothing to do with one another.</summary>
    static double Distance(float[] left, float[] right)
    {
        double apart = 0, both = 0;
        for (var i = 0; i < Math.Min(left.Length, right.Length); i++)
        {
            apart += Math.Pow((double)left[i] - right[i], 2);
            both += (double)left[i] * left[i] + (double)right[i] * right[i];
        }
        return both > 0 && double.IsFinite(apart) ? apart / both : 1;
    }
}
