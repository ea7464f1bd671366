using Coppice.Protocol;

namespace Coppice.Client;

/// <summary>The server refused, or could not be reached.</summary>
/// <param name="problem">What it said.</param>
/// <param name="inner">What lies beneath, where something does.</param>
public sealed class ControlException(ControlProblem problem, Exception? inner = null) : Exception(Text(problem), inner)
{
    /// <summary>What the server said, whole.</summary>
    public ControlProblem Problem { get; } = problem;

    /// <summary>Stable; callers branch on it: <c>/problems/rollout-active</c>. Null when the answer was none of a Coppice server's.</summary>
    public string? Type => Problem.Type;

    /// <summary>What is wrong, in few words.</summary>
    public string Title => Problem.Title ?? "The server refused.";

    /// <summary>What was found, what is wanted, what to do.</summary>
    public string Detail => Problem.Detail ?? "";

    static string Text(ControlProblem problem) => $"{problem.Title ?? "The server refused."} {problem.Detail}".TrimEnd();
}
