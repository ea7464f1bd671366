using System.Collections.Immutable;

namespace Coppice.Agent.Updates;

/// <summary>What an agent is about to do, for people who look while it runs. Not needed to go on.</summary>
/// <param name="At">When it was written.</param>
/// <param name="Process">The agent's process id.</param>
/// <param name="Models">By name.</param>
/// <param name="Link">The last trouble with the server; null when there is none.</param>
public sealed record LiveView(DateTimeOffset At, int Process, ImmutableSortedDictionary<string, LiveModel> Models, string? Link = null);

/// <summary>A model in it.</summary>
/// <param name="Step">The step it is in.</param>
/// <param name="Why">Reasons of the last decision, newest rollout first, or of the last trouble.</param>
/// <param name="Fetched">Bytes of the present download that are here.</param>
/// <param name="Total">Bytes of the present download.</param>
/// <param name="Next">When it goes on; null when it is at work.</param>
public sealed record LiveModel(UpdateStep Step, ImmutableArray<string> Why, long Fetched, long Total, DateTimeOffset? Next = null);
