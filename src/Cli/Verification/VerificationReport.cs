using System.Collections.Immutable;

namespace Coppice.Cli.Verification;

/// <summary>What looking at a release showed, in plain words.</summary>
/// <param name="Proved">What follows from signatures and digests.</param>
/// <param name="NotProved">What nobody can conclude from them; and what was not there to be looked at.</param>
/// <param name="Failed">What is wrong. Any of it means: do not use this release.</param>
sealed record VerificationReport(ImmutableArray<string> Proved, ImmutableArray<string> NotProved, ImmutableArray<string> Failed)
{
    /// <summary>Whether nothing is wrong.</summary>
    public bool Holds => Failed.IsEmpty;
}
