using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Approvals;
using Coppice.Server.Backups;
using Coppice.Server.Fleet;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

/// <summary>Decides for a device as the device would, and tells why.</summary>
sealed class ExplanationStore(Database database, Repository repository, Restores restores, ControlPlaneOptions options)
{
    /// <summary>What the server knows of a device, read at one moment.</summary>
    sealed record Known(DeviceRow Row, FactSet Facts, ImmutableArray<DeviceModelRow> Models, ImmutableArray<RolloutDeviceRow> Words, ImmutableArray<ApprovalRow> Waiting, bool SpeaksDdi);

    /// <summary>Explains.</summary>
    /// <param name="id">The device.</param>
    /// <param name="asked">The model that was asked about; null for all that the device has spoken of.</param>
    /// <param name="sees">Whether the caller may see a model.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <returns>Null when there is no such device.</returns>
    public async Task<DeviceExplanation?> ExplainAsync(string id, ModelName? asked, Func<ModelName, bool> sees, CancellationToken cancel)
    {
        if (await database.ReadAsync(db => ReadAsync(db, id, cancel), cancel) is not { } known)
            return null;
        var now = options.Time.GetUtcNow();
        var models = asked is { } one ? [one] : known.Models.Select(row => row.Model).Where(sees).OrderBy(model => model.ToString(), StringComparer.Ordinal).ToArray();
        var notes = Notes(known.Row, now).ToList();
        if (restores.Newest is { } restored && known.Row.LastSeen < restored.At)
            notes.Add($"The server was restored at {restored.At.UtcDateTime:u} from a backup of {restored.BackupAt.UtcDateTime:u}, and has not heard of the device since: what the device took in between is not known here until it calls, and what it serves it keeps.");
        if (models.Length == 0)
            notes.Add("It has spoken of no model that you may see; name one to know what it would do.");
        var explained = ImmutableArray.CreateBuilder<ModelExplanation>();
        foreach (var model in models)
            explained.Add(await ExplainAsync(known, model, now));
        return new(id, now, [.. notes], explained.ToImmutable());
    }

    static async Task<Known?> ReadAsync(CoppiceDb db, string id, CancellationToken cancel)
    {
        if (await db.Devices.AsNoTracking().FirstOrDefaultAsync(row => row.Id == id, cancel) is not { } device)
            return null;
        return new(
            device,
            device.FactSet(await db.GroupsAsync(cancel)),
            [.. await db.DeviceModels.AsNoTracking().Where(row => row.Device == id).ToListAsync(cancel)],
            [.. await db.RolloutDevices.AsNoTracking().Where(row => row.Device == id).ToListAsync(cancel)],
            [.. await db.Approvals.AsNoTracking().Where(row => row.State == ApprovalState.Awaiting && row.Act == ApprovalAct.Start).ToListAsync(cancel)],
            await db.DdiDevices.AnyAsync(row => row.Device == id, cancel));
    }

    IEnumerable<string> Notes(DeviceRow row, DateTimeOffset now)
    {
        if (row.RetiredAt is { } retired)
            yield return $"It was retired at {retired.UtcDateTime:u}: its calls are refused, and it goes on with what it has.";
        if (row.RevokedAt is { } revoked)
            yield return $"It was revoked at {revoked.UtcDateTime:u} ({row.RevokedWhy}): its calls are refused until it is replaced; signed plans reach it all the same.";
        if (row.Suspect is { } suspect)
            yield return $"It is suspect: {suspect}. What follows is about one of two installations, whichever spoke last.";
        if (row is { RetiredAt: null, RevokedAt: null } && row.LastSeen < now - options.SilentAfter)
            yield return $"It was last heard of at {row.LastSeen.UtcDateTime:u}, {Duration.Format(Whole(now - row.LastSeen))} ago: what follows holds once it is back.";
        else if (row is { RetiredAt: null, RevokedAt: null })
            yield return $"It was last heard of at {row.LastSeen.UtcDateTime:u}; facts are of then.";
        if (StoredText.Texts(row.Facts).TryGetValue(FactSet.Withheld, out var withheld))
            yield return $"It does not tell {withheld}: what hangs on that is decided on the device alone, and may be otherwise than said here.";
    }

    static TimeSpan Whole(TimeSpan span) => TimeSpan.FromMinutes(Math.Floor(span.TotalMinutes));

    async Task<ModelExplanation> ExplainAsync(Known known, ModelName model, DateTimeOffset now)
    {
        var state = known.Models.FirstOrDefault(row => row.Model == model);
        var reasons = ImmutableArray.CreateBuilder<string>();
        foreach (var waiting in known.Waiting.Where(row => row.Model == model && Selector.TryParse(row.Selector, out var selector, out _) && selector.Matches(known.Facts)))
            reasons.Add($"{waiting.Id}: a rollout of {waiting.Release} would be for this device, and awaits approval");
        var explained = new ModelExplanation(model, "", [])
        {
            Serving = state?.Serving,
            LastWord = state is null ? null : $"{state.Last} {state.Release} at {state.At.UtcDateTime:u}{(state.Why is { } why ? $": {why}" : "")}",
        };
        if (repository.Plan(model) is not { } plan)
            return explained with { Verdict = "Nobody has rolled out a release of the model.", Reasons = reasons.ToImmutable() };

        var choice = await new DeviceChoice(known.Row.Id, known.Facts, known.Models, known.Words) { SpeaksDdi = known.SpeaksDdi }.ChooseAsync(plan, repository, now);
        reasons.AddRange(choice.Reasons);
        var verdict = choice.Kind switch
        {
            ChoiceKind.Stop => "It stops serving the model.",
            ChoiceKind.Leave => "It goes back to what served before, with all of the set.",
            ChoiceKind.Keep => state?.Serving is { } serving ? $"It keeps {serving}." : "It has nothing, and takes nothing.",
            _ => Taken(model, choice.Rollout!, known.Facts, reasons),
        };
        if (choice is { Kind: ChoiceKind.Keep, Shadow: { } shadow })
            verdict += $" {Beside(model, shadow, known, reasons)}";
        return explained with
        {
            Verdict = verdict + (choice.Again is { } again ? $" It looks again at {again.UtcDateTime:u}." : ""),
            Reasons = reasons.ToImmutable(),
            Rollout = choice.Rollout?.Id,
            Release = choice.Kind is ChoiceKind.Take or ChoiceKind.Prepare ? choice.Rollout!.Release : null,
        };
    }

    /// <summary>What comes of a shadow there.</summary>
    string Beside(ModelName model, ShadowChoice shadow, Known known, ImmutableArray<string>.Builder reasons)
    {
        var rollout = shadow.Rollout;
        var word = known.Words.FirstOrDefault(word => word.Shadow && word.Rollout == RolloutRow.TryNumber(rollout.Id));
        if (word is { Kind: ReportKind.Switched or ReportKind.Settled })
            return $"It runs {rollout.Release} beside it, on {100 * shadow.Share:0.##} % of its requests, and that answers none.";
        if (repository.Manifest(model, rollout.Release) is not { } manifest)
            return $"It would run {rollout.Release} beside it, whose manifest is not in the repository.";
        var variant = VariantChoice.ChooseShadow(manifest, known.Facts, _ => 0);
        reasons.AddRange(variant.Misfits.Select(misfit => $"{rollout.Release} {misfit.Variant}: {string.Join(", and ", misfit.Reasons)}"));
        if (word is { Kind: ReportKind.Unfit, Why: { } why })
            reasons.Add($"{rollout.Id}: the device said at {word.At.UtcDateTime:u} that it does not fit: {why}");
        return variant.Chosen is { } chosen
            ? $"It is to run {rollout.Release} ({chosen.Name}) beside it, on {100 * shadow.Share:0.##} % of its requests, and that answers none."
            : $"It is to run {rollout.Release} beside it, and nothing of that fits it.";
    }

    string Taken(ModelName model, Rollout rollout, FactSet facts, ImmutableArray<string>.Builder reasons)
    {
        if (repository.Manifest(model, rollout.Release) is not { } manifest)
            return $"It would take {rollout.Release}, whose manifest is not in the repository.";
        var variant = VariantChoice.Choose(manifest, facts, _ => 0);
        reasons.AddRange(variant.Misfits.Select(misfit => $"{rollout.Release} {misfit.Variant}: {string.Join(", and ", misfit.Reasons)}"));
        if (variant.Chosen is not { } chosen)
            return $"It is to take {rollout.Release}, and nothing of that fits it.";
        foreach (var member in rollout.With ?? [])
        {
            if (repository.Manifest(member.Model, member.Release) is { } other && VariantChoice.Choose(other, facts, _ => 0) is { Chosen: null } unfit)
            {
                reasons.AddRange(unfit.Misfits.Select(misfit => $"{member.Model} {member.Release} {misfit.Variant}: {string.Join(", and ", misfit.Reasons)}"));
                return $"It is to take {rollout.Release} together with {member.Model} {member.Release}, and nothing of that fits it: it takes neither.";
            }
        }

        var together = rollout.With is { } with ? $", together with {string.Join(" and ", with.Select(member => $"{member.Model} {member.Release}"))} or not at all," : "";
        return $"It takes {rollout.Release} ({chosen.Name}){together} when it next asks.";
    }
}
