using System.Diagnostics;

namespace Coppice.Agent.Updates;

/// <summary>Lays the files out under their names, beside the slots that are there.</summary>
sealed class StageStep(UpdateContext context) : IUpdateStep
{
    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var slot = (state.Target ?? throw new UnreachableException("stages without a target")).Slot;
        var (_, variant) = context.Slots.Read(slot);
        context.Slots.Lay(slot, variant);
        context.Loader.Forget(slot);
        return Task.FromResult(new StepResult(Outcome.Done, state, $"{slot} is laid out"));
    }
}
