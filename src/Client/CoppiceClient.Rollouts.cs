using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>Starts a rollout.</summary>
    /// <exception cref="AwaitsApprovalException">A policy wants another person to approve it first.</exception>
    public Task<RolloutView> StartRolloutAsync(StartRollout rollout, CancellationToken cancel = default) =>
        OrderAsync("v1/rollouts", JsonContent.Create(rollout, ControlContext.Default.StartRollout), null, cancel);

    /// <summary>A page of rollouts, newest first.</summary>
    public Task<RolloutPage> ListRolloutsAsync(ModelName? model = null, RolloutState? state = null, long? before = null, int limit = 100, CancellationToken cancel = default) => GetAsync(
        "v1/rollouts" + Query(("model", model?.ToString()), ("state", state?.ToString().ToLowerInvariant()), ("before", before?.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture))),
        ControlContext.Default.RolloutPage, cancel);

    /// <summary>How a rollout stands, with a page of its devices.</summary>
    public Task<RolloutDetail> GetRolloutAsync(string id, string? after = null, int limit = 100, CancellationToken cancel = default) =>
        GetAsync($"v1/rollouts/{Escape(id)}" + Query(("after", after), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.RolloutDetail, cancel);

    /// <summary>Lets no further device take the release.</summary>
    /// <param name="id">The rollout.</param>
    /// <param name="why">The reason.</param>
    /// <param name="revision">Only while the rollout is at this <see cref="RolloutView.Revision"/>; null in any case.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<RolloutView> HoldAsync(string id, string why, string? revision = null, CancellationToken cancel = default) => OrderAsync(id, "hold", new(why), revision, cancel);

    /// <summary>Lets a held rollout go on.</summary>
    public Task<RolloutView> ResumeAsync(string id, string why, string? revision = null, CancellationToken cancel = default) => OrderAsync(id, "resume", new(why), revision, cancel);

    /// <summary>Takes the release back everywhere, for good.</summary>
    public Task<RolloutView> RevertAsync(string id, string why, string? revision = null, CancellationToken cancel = default) => OrderAsync(id, "revert", new(why), revision, cancel);

    /// <summary>Starts a phase without waiting for the one before.</summary>
    /// <param name="id">The rollout.</param>
    /// <param name="phase">The phase to be in afterwards, counted from 0; the number of phases to complete the rollout.</param>
    /// <param name="why">The reason.</param>
    /// <param name="revision">As for <see cref="HoldAsync"/>.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<RolloutView> AdvanceAsync(string id, int phase, string why, string? revision = null, CancellationToken cancel = default) => OrderAsync(id, "advance", new(why) { Phase = phase }, revision, cancel);

    /// <summary>Lets devices that refused the release or took it back try it again.</summary>
    /// <param name="id">The rollout.</param>
    /// <param name="attempt">The attempt to be at afterwards, one more than the last.</param>
    /// <param name="why">The reason.</param>
    /// <param name="revision">As for <see cref="HoldAsync"/>.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<RolloutView> RetryAsync(string id, int attempt, string why, string? revision = null, CancellationToken cancel = default) => OrderAsync(id, "retry", new(why) { Attempt = attempt }, revision, cancel);

    /// <summary>Gives the rollout up, for good; devices keep what they have.</summary>
    public Task<RolloutView> AbortAsync(string id, string why, string? revision = null, CancellationToken cancel = default) => OrderAsync(id, "abort", new(why), revision, cancel);

    /// <summary>Says how a check of the present phase came out.</summary>
    public Task<RolloutView> CheckAsync(string id, SayCheck said, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/rollouts/{Escape(id)}/checks", said, ControlContext.Default.SayCheck, ControlContext.Default.RolloutView, cancel);

    /// <summary>Makes an arm of an experiment everybody's.</summary>
    /// <exception cref="AwaitsApprovalException">A policy wants another person to approve it first.</exception>
    public Task<RolloutView> PromoteAsync(string id, PromoteArm order, string? revision = null, CancellationToken cancel = default) =>
        OrderAsync($"v1/rollouts/{Escape(id)}/promote", JsonContent.Create(order, ControlContext.Default.PromoteArm), revision, cancel);

    /// <summary>Why a rollout is where it is.</summary>
    public Task<RolloutWhy> WhyAsync(string id, CancellationToken cancel = default) => GetAsync($"v1/rollouts/{Escape(id)}/why", ControlContext.Default.RolloutWhy, cancel);

    Task<RolloutView> OrderAsync(string id, string verb, RolloutOrder order, string? revision, CancellationToken cancel) =>
        OrderAsync($"v1/rollouts/{Escape(id)}/{verb}", JsonContent.Create(order, ControlContext.Default.RolloutOrder), revision, cancel);

    async Task<RolloutView> OrderAsync(string path, HttpContent order, string? revision, CancellationToken cancel)
    {
        using var response = await SendAsync(HttpMethod.Post, path, order, cancel, revision: revision);
        return response.StatusCode == HttpStatusCode.Accepted
            ? throw new AwaitsApprovalException(await ReadAsync(response, path, ControlContext.Default.ApprovalView, cancel))
            : await ReadAsync(response, path, ControlContext.Default.RolloutView, cancel);
    }
}
