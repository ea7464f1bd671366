using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Tests.Storage;
using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class FilePullerTests
{
    readonly LossyDisk disk = new(1);
    readonly byte[] bytes = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7 + i / 256))];
    readonly List<(AgentEventKind Kind, string Text)> told = [];
    readonly List<string> tried = [];
    readonly ReleaseFile file;

    public FilePullerTests() => file = new("model.bin", Sha256Digest.Of(bytes), bytes.Length);

    FilePuller Puller(params IFileWay[] ways) => new(disk, new(disk, 1 << 30), ways, (kind, text) => told.Add((kind, text)));

    FakeWay Way(DeliveryKind kind, long? cost, Func<FilePull, byte[]> give) => new(disk, kind, cost, pull =>
    {
        tried.Add(kind.ToString());
        return give(pull);
    });

    [Fact]
    public async Task The_cheapest_way_comes_first_and_the_next_one_when_it_fails()
    {
        var puller = Puller(
            Way(DeliveryKind.Whole, 5_000, _ => bytes), Way(DeliveryKind.Patch, 5, _ => throw new LinkException("no patch")),
            Way(DeliveryKind.Ranges, 1_000, _ => [1]), Way(DeliveryKind.Compressed, null, _ => bytes));

        await puller.PullAsync(file, (_, _) => { }, default);

        Assert.Equal(["Patch", "Ranges", "Whole"], tried);
        Assert.True(new BlobStore(disk, 1 << 30).Holds(file, default));
        Assert.Equal(AgentEventKind.Chosen, told[0].Kind);
        Assert.Equal(2, told.Count(each => each.Kind == AgentEventKind.Trouble)); // each failure once
    }

    [Fact]
    public async Task What_breaks_off_and_has_brought_something_is_gone_on_with_before_a_dearer_way_is_taken()
    {
        var left = 3;
        var puller = Puller(Way(DeliveryKind.Whole, 50_000, _ => bytes), Way(DeliveryKind.Patch, 5, pull =>
        {
            pull.Arrived(1);
            return --left == 0 ? bytes : throw new LinkException("it broke off");
        }));

        await puller.PullAsync(file, (_, _) => { }, default);

        Assert.Equal(["Patch", "Patch", "Patch"], tried);
    }

    [Fact]
    public async Task What_breaks_off_for_ever_gives_way_in_the_end()
    {
        var puller = Puller(Way(DeliveryKind.Whole, 50_000, _ => bytes), Way(DeliveryKind.Patch, 5, pull =>
        {
            pull.Arrived(1);
            throw new LinkException("it broke off");
        }));

        await puller.PullAsync(file, (_, _) => { }, default);

        Assert.Equal("Whole", tried[^1]);
        Assert.InRange(tried.Count, 2, 6);
    }

    [Theory]
    [InlineData(true, 1)] // what was wrong is left out until the file is here
    [InlineData(false, 2)] // what was not to be had is asked for again at the next try
    public async Task A_way_that_lied_is_left_out_for_the_update(bool lied, int asked)
    {
        var away = true;
        var puller = Puller(
            Way(DeliveryKind.Whole, 50_000, _ => away ? throw new LinkException("away") : bytes),
            Way(DeliveryKind.Patch, 5, _ => throw new LinkException("of no use") { Lasting = lied }));

        await Assert.ThrowsAsync<LinkException>(() => puller.PullAsync(file, (_, _) => { }, default));
        away = false;
        await puller.PullAsync(file, (_, _) => { }, default);

        Assert.Equal(asked, tried.Count(name => name == "Patch"));
    }

    [Fact]
    public async Task A_way_that_finds_the_disk_full_gives_way()
    {
        var puller = Puller(Way(DeliveryKind.Whole, 50_000, _ => bytes), Way(DeliveryKind.Patch, 5, _ => throw new IOException("No space left on device")));
        await puller.PullAsync(file, (_, _) => { }, default);
        Assert.Contains("No space left", told.Single(each => each.Kind == AgentEventKind.Trouble).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_way_it_says_so()
    {
        var puller = Puller(Way(DeliveryKind.Whole, null, _ => bytes));
        Assert.Contains("no way to get model.bin", (await Assert.ThrowsAsync<LinkException>(() => puller.PullAsync(file, (_, _) => { }, default))).Message, StringComparison.Ordinal);
    }

    sealed class FakeWay(LossyDisk disk, DeliveryKind kind, long? cost, Func<FilePull, byte[]> give) : IFileWay
    {
        public bool Takes(DeliveryKind wanted) => wanted == kind;

        public Task<IReadOnlyList<DeliveryStep>> OffersAsync(FilePull pull, double? cheapest, CancellationToken cancel) =>
            Task.FromResult<IReadOnlyList<DeliveryStep>>(cost is { } bytes ? [new(kind, pull.Wanted.Blob, [], bytes, bytes)] : []);

        public Task<Sha256Digest> TakeAsync(DeliveryStep step, FilePull pull, CancellationToken cancel)
        {
            var made = give(pull);
            using (var part = disk.Create(pull.PartOf(step.To)))
            {
                part.Write(made);
                part.Sync();
            }

            return Task.FromResult(Sha256Digest.Of(made));
        }
    }
}
