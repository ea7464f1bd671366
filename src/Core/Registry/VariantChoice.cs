using System.Collections.Immutable;
using Coppice.Fleet;

namespace Coppice.Registry;

/// <summary>Which variant of a release a device takes: the first, in the publisher's order, that fits it.</summary>
/// <param name="Chosen">Null when none fits.</param>
/// <param name="Misfits">For each variant passed over, every reason at once, in words for a person.</param>
public sealed record VariantChoice(Variant? Chosen, ImmutableArray<Misfit> Misfits)
{
    /// <summary>Chooses.</summary>
    /// <param name="manifest">The release.</param>
    /// <param name="facts">What the device is: <c>os</c>, <c>arch</c>, <c>app</c>, <c>ram.free</c>, <c>disk.free</c> (bytes, measured now),
    /// <c>accelerators</c> (parted by commas), <c>runtime.NAME</c> (its version), labels. A requirement on a fact that is not there does not fit.</param>
    /// <param name="held">Bytes of the release's files that are on the device already, per variant name; they need no disk.</param>
    public static VariantChoice Choose(ReleaseManifest manifest, FactSet facts, Func<Variant, long> held)
    {
        var misfits = ImmutableArray.CreateBuilder<Misfit>();
        foreach (var variant in manifest.Variants)
        {
            var reasons = Reasons(variant, facts, held(variant)).ToImmutableArray();
            if (reasons.IsEmpty)
                return new(variant, misfits.ToImmutable());
            misfits.Add(new(variant.Name, reasons));
        }

        return new(null, misfits.ToImmutable());
    }

    /// <summary>Chooses what is to run beside a release that serves, in memory at the same time.</summary>
    /// <remarks>
    /// The serving release is in memory already. What is free must take what the variant declares that it needs, else as much as its files have, and a tenth of the
    /// machine's memory must be left: a shadow is never worth the requests that are answered. A variant that the app opens by itself has no runs that could be copied.
    /// </remarks>
    /// <inheritdoc cref="Choose"/>
    public static VariantChoice ChooseShadow(ReleaseManifest manifest, FactSet facts, Func<Variant, long> held)
    {
        var misfits = ImmutableArray.CreateBuilder<Misfit>();
        foreach (var variant in manifest.Variants)
        {
            var reasons = Reasons(variant, facts, held(variant)).Concat(ShadowReasons(variant, facts)).ToImmutableArray();
            if (reasons.IsEmpty)
                return new(variant, misfits.ToImmutable());
            misfits.Add(new(variant.Name, reasons));
        }

        return new(null, misfits.ToImmutable());
    }

    static IEnumerable<string> ShadowReasons(Variant variant, FactSet facts)
    {
        if (variant.Runtime is null)
            yield return "names no runtime, so that the agent cannot run it beside what serves";
        var (free, needs, left) = (facts.Number("ram.free"), variant.Requirements.Ram ?? variant.Length, (facts.Number("ram.total") ?? facts.Number("ram") ?? 0) / 10);
        if (!(free >= needs + left))
            yield return $"needs {Bytes(needs)} of memory beside what serves with {Bytes(left)} to spare, there is {Bytes(free)}";
    }

    static IEnumerable<string> Reasons(Variant variant, FactSet facts, long held)
    {
        var wants = variant.Requirements;
        if (!wants.Os.IsEmpty && (facts.Find("os") is not { } os || !wants.Os.Contains(os)))
            yield return $"needs {string.Join(" or ", wants.Os)}, this is {facts.Find("os") ?? "unknown"}";
        if (!wants.Arch.IsEmpty && (facts.Find("arch") is not { } arch || !wants.Arch.Contains(arch)))
            yield return $"needs {string.Join(" or ", wants.Arch)}, this is {facts.Find("arch") ?? "unknown"}";
        if (variant.Runtime is { } runtime)
        {
            var found = facts.Find("runtime." + runtime);
            if (found is null)
                yield return $"needs the runtime {runtime}, which is not here";
            else if (wants.Runtime is { } range && !(SemanticVersion.TryParse(found, out var version) && range.Contains(version)))
                yield return $"needs {runtime} {range}, here is {found}";
        }

        if (wants.App is { } app && !(SemanticVersion.TryParse(facts.Find("app"), out var appVersion) && app.Contains(appVersion)))
            yield return $"needs the app at {app}, this is {facts.Find("app") ?? "unknown"}";
        if (wants.Ram is { } ram && !(facts.Number("ram.free") >= ram))
            yield return $"needs {Bytes(ram)} of free memory, there is {Bytes(facts.Number("ram.free"))}";
        var disk = variant.Length - held + (wants.Disk ?? 0);
        if (disk > 0 && !(facts.Number("disk.free") >= disk))
            yield return $"needs {Bytes(disk)} of free disk, there is {Bytes(facts.Number("disk.free"))}";
        var here = (facts.Find("accelerators") ?? "").Split(',', StringSplitOptions.TrimEntries);
        foreach (var accelerator in wants.Accelerators.Except(here))
            yield return $"needs the accelerator {accelerator}, which is not here";
        if (wants.Selector is { } text)
        {
            if (!Selector.TryParse(text, out var selector, out var problems))
                yield return $"its condition cannot be read ({problems[0]})";
            else if (!selector.Matches(facts))
                yield return $"is for devices where {text}";
        }
    }

    static string Bytes(long? count) => count is { } known ? ByteSize.Format(known) : "an unknown amount";
}

/// <summary>A variant that does not fit, and every reason why.</summary>
public sealed record Misfit(string Variant, ImmutableArray<string> Reasons);
