using Coppice.Agent;
using Coppice.Formats;
using Coppice.Inference;

// An app of its own that keeps one model current and asks it once a second; docs/guides/embedding.md goes through it.
//   dotnet run --project samples/EmbeddedAgent -- DATA plant/bearing https://coppice.example cpj_…
//   dotnet run --project samples/EmbeddedAgent -- DATA plant/bearing /media/stick ROOT-SHA256
if (args is not [var data, var name, var place, .. var secret])
{
    Console.Error.WriteLine("usage: EmbeddedAgent DATA MODEL SERVER [JOIN-TOKEN] | DATA MODEL REPOSITORY-FOLDER [ROOT-SHA256]");
    return 2;
}

var online = place.Contains("://", StringComparison.Ordinal);
using var ending = new CancellationTokenSource();
Console.CancelKeyPress += (_, key) =>
{
    key.Cancel = true; // the agent ends in order, so that no release is blamed for it
    ending.Cancel();
};

await using var agent = await CoppiceAgent.OpenAsync(new AgentOptions
{
    Data = data,
    Models = [name],
    Server = online ? place : null,
    JoinToken = online ? secret.FirstOrDefault() : null,
    Repository = online ? null : place,
    Root = online ? null : secret.FirstOrDefault(),
    App = "1.0.0",
    Policy = new() { Poll = TimeSpan.FromSeconds(10), Probation = new() { Time = TimeSpan.FromSeconds(30) } },
    OnEvent = happened => Console.WriteLine($"{happened.Kind}: {happened.Text}"),
});

var model = agent.Model(name);
try
{
    await agent.WaitForModelAsync(name, ending.Token);
    while (true)
    {
        using (var lease = model.Lease()) // this release, until the brace; the agent may switch meanwhile
        {
            using var answer = lease.Run(Zeros(lease.Session));
            Console.WriteLine($"{lease.Release} ({lease.Variant}) answers {string.Join("x", answer.ShapeOf(0).ToArray())}");
        }

        await Task.Delay(TimeSpan.FromSeconds(1), ending.Token);
    }
}
catch (OperationCanceledException) when (ending.IsCancellationRequested)
{
    return 0;
}

// Stands for the app's own input.
static Tensor[] Zeros(IModelSession session) =>
[
    .. session.Inputs.Select(input =>
    {
        long[] shape = [.. input.Shape.Select(dimension => Math.Max(1, dimension))];
        var elements = shape.Aggregate(1L, (product, dimension) => product * dimension);
        return Tensor.Of(input.Type, shape, new byte[elements * input.Type.BitsPerElement() / 8]);
    }),
];
