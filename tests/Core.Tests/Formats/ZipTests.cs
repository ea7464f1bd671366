using Coppice.Formats;

namespace Coppice.Core.Tests.Formats;

public sealed class ZipTests
{
    static MalformedFileException Refused(byte[] bytes) => Assert.Throws<MalformedFileException>(() => SmallModels.Read(bytes));

    [Fact]
    public void Models_in_stored_entries_are_mapped_under_their_entry()
    {
        var bytes = SmallModels.Task();
        var model = SmallModels.Read(bytes);

        Assert.Equal((ModelFormat.Zip, 2), (model.Format, model.Parts.Length));
        Assert.Equal(["one.tflite/w", "two.tflite/w"], model.Tensors.Select(tensor => tensor.Name));
        foreach (var tensor in model.Tensors)
            Assert.Equal([1, 2, 3, 4], bytes[(int)tensor.Offset..(int)(tensor.Offset + tensor.Length)]);
    }

    [Fact]
    public void Compressed_entries_are_noted_and_never_inflated()
    {
        var model = SmallModels.Read(new ZipWriter().Add("bomb.tflite", new byte[100], method: 8, saySize: 100).End());

        Assert.Empty(model.Tensors);
        Assert.Contains("'bomb.tflite' is compressed", Assert.Single(model.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Entries_that_share_bytes_are_refused() =>
        Assert.Contains("share bytes", Refused(new ZipWriter().Add("a", new byte[50]).Add("b", new byte[50], sayLocal: 0).End()).Message, StringComparison.Ordinal);

    [Fact]
    public void Counts_and_places_that_lie_are_refused()
    {
        Refused(new ZipWriter().Add("a", new byte[50]).End(sayCount: 9));
        Refused(new ZipWriter().Add("a", new byte[50]).End(sayOffset: 1_000_000));
        Refused(new ZipWriter().Add("a", new byte[50], sayLocal: 1_000_000).End());
        Refused(new ZipWriter().Add("a", new byte[50], saySize: 4_000_000).End());
    }

    [Fact]
    public void An_archive_without_its_end_is_refused() => Refused(SmallModels.Task()[..^30]);

    [Fact]
    public void Archives_in_archives_without_end_are_refused()
    {
        var archive = SmallModels.Task();
        for (var i = 0; i < 6; i++)
            archive = new ZipWriter().Add("inner.zip", archive).End();

        Assert.Contains("deep in one another", Refused(archive).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_model_in_an_archive_says_where_in_the_archive()
    {
        var inner = SmallModels.Gguf();
        inner[4] = 9; // the version
        var problem = Refused(new ZipWriter().Add("m.gguf", inner).End());

        Assert.Equal(("GGUF", 30 + 6 + 4L), (problem.Format, problem.Offset));
    }
}
