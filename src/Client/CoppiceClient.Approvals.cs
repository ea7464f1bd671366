using System.Collections.Immutable;
using System.Globalization;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>What waits for another person, or waited, newest first.</summary>
    public Task<ApprovalPage> ListApprovalsAsync(ApprovalState? state = null, long? before = null, int limit = 100, CancellationToken cancel = default) => GetAsync(
        "v1/approvals" + Query(("state", state?.ToString().ToLowerInvariant()), ("before", before?.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.ApprovalPage, cancel);

    /// <summary>An act that waits, or waited.</summary>
    public Task<ApprovalView> GetApprovalAsync(string id, CancellationToken cancel = default) => GetAsync($"v1/approvals/{Escape(id)}", ControlContext.Default.ApprovalView, cancel);

    /// <summary>Approves what somebody else asked for.</summary>
    public Task<ApprovalView> ApproveAsync(string id, string why, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/approvals/{Escape(id)}/approve", new Reason(why), ControlContext.Default.Reason, ControlContext.Default.ApprovalView, cancel);

    /// <summary>Rejects what somebody asked for, or takes back one's own.</summary>
    public Task<ApprovalView> RejectAsync(string id, string why, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/approvals/{Escape(id)}/reject", new Reason(why), ControlContext.Default.Reason, ControlContext.Default.ApprovalView, cancel);

    /// <summary>How many others must approve acts on which models.</summary>
    public Task<ImmutableArray<PolicyView>> ListPoliciesAsync(CancellationToken cancel = default) => GetAsync("v1/policies", ControlContext.Default.ImmutableArrayPolicyView, cancel);

    /// <summary>Sets how many others must approve acts on some models.</summary>
    public Task<PolicyView> SetPolicyAsync(SetPolicy wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Put, "v1/policies", wanted, ControlContext.Default.SetPolicy, ControlContext.Default.PolicyView, cancel);
}

/// <summary>The server took a request and waits with it until another person approves.</summary>
public sealed class AwaitsApprovalException(ApprovalView approval) : Exception($"{approval.Id} awaits approval by {approval.Needed} other(s).")
{
    /// <summary>What waits.</summary>
    public ApprovalView Approval { get; } = approval;
}
