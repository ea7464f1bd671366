using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>What the device's user answered, newest last.</summary>
sealed record AnswerBox(ImmutableArray<ConsentAnswer> Answers);

/// <summary>The user's answers to rollouts' questions: a file beside the state, so that the app or the command line may write it while an agent runs.</summary>
public static class UserConsent
{
    const int MaxAnswers = 64;

    /// <summary>Answers the question that a model asks.</summary>
    /// <param name="data">The agent's data folder.</param>
    /// <param name="model">The model.</param>
    /// <param name="yes">Whether the release may serve. No is no until the rollout's next attempt.</param>
    /// <returns>The question that was answered; null when nothing is asked.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public static Question? Answer(string data, ModelName model, bool yes)
    {
        if (!Directory.Exists(data))
            throw new DirectoryNotFoundException($"{data} is not there; give the data folder of an agent.");
        var disk = new FolderDisk(data);
        return disk.ReadSmall(DataFolder.State(model), StateJson.MaxBytes) is { } saved && StateJson.TryRead(saved, out UpdateState? state) && state.Question is { } question
            ? Answer(disk, model, question, yes)
            : null;
    }

    /// <summary>Answers a question.</summary>
    /// <param name="disk">The agent's data folder.</param>
    /// <param name="model">The model.</param>
    /// <param name="question">What was asked.</param>
    /// <param name="yes">Whether the release may serve.</param>
    /// <returns>The question.</returns>
    public static Question Answer(IDisk disk, ModelName model, Question question, bool yes)
    {
        var before = disk.ReadSmall(DataFolder.Answers(model), StateJson.MaxBytes) is { } bytes && StateJson.TryRead(bytes, out AnswerBox? box) ? box.Answers : [];
        var answers = before.RemoveAll(answer => answer.Rollout == question.Rollout).Add(new(question.Rollout, question.Attempt, yes));
        disk.Replace(DataFolder.Answers(model), StateJson.Write(new AnswerBox([.. answers.TakeLast(MaxAnswers)])));
        return question;
    }
}
