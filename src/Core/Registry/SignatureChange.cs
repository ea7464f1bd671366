using System.Collections.Immutable;
using Coppice.Inference;

namespace Coppice.Registry;

/// <summary>Whether callers of one release can call the next without a change.</summary>
public static class SignatureChange
{
    /// <summary>Everything that breaks a caller, in words for a person; empty when the new signature takes what the old one took and gives what it gave.</summary>
    /// <remarks>A dimension that was free must stay free where callers choose it (inputs); an output may become more exact. New outputs break nobody, new inputs do.</remarks>
    public static ImmutableArray<string> Breaks(TensorSignature before, TensorSignature after)
    {
        var found = ImmutableArray.CreateBuilder<string>();
        foreach (var input in before.Inputs)
        {
            if (Find(after.Inputs, input.Name) is not { } now)
                found.Add($"input {input} is gone");
            else if (!Takes(now, input))
                found.Add($"input {input} is now {now}");
        }

        foreach (var input in after.Inputs)
        {
            if (Find(before.Inputs, input.Name) is null)
                found.Add($"input {input} is new: no caller gives it");
        }

        foreach (var output in before.Outputs)
        {
            if (Find(after.Outputs, output.Name) is not { } now)
                found.Add($"output {output} is gone");
            else if (!Takes(output, now))
                found.Add($"output {output} is now {now}");
        }

        if (found.Count == 0 && !before.Inputs.Select(input => input.Name).SequenceEqual(after.Inputs.Select(input => input.Name)))
            found.Add("the inputs are in another order");
        var kept = after.Outputs.Select(output => output.Name).Take(before.Outputs.Length);
        if (found.Count == 0 && !before.Outputs.Select(output => output.Name).SequenceEqual(kept))
            found.Add("the outputs are in another order");
        return found.ToImmutable();
    }

    static TensorSpec? Find(ImmutableArray<TensorSpec> specs, string name) => specs.FirstOrDefault(spec => spec.Name == name);

    /// <summary>Whether everything of <paramref name="given"/>'s type and shape fits <paramref name="wanted"/>.</summary>
    static bool Takes(TensorSpec wanted, TensorSpec given)
    {
        if (wanted.Type != given.Type || wanted.Shape.Length != given.Shape.Length)
            return false;
        for (var i = 0; i < wanted.Shape.Length; i++)
        {
            if (wanted.Shape[i] >= 0 && wanted.Shape[i] != given.Shape[i])
                return false;
        }

        return true;
    }
}
