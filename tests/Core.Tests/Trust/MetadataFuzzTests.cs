using System.Globalization;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class MetadataFuzzTests : IDisposable
{
    readonly TestRepository _repository = new();

    public void Dispose() => _repository.Dispose();

    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    [Fact]
    public void Whatever_the_bytes_a_reader_gives_metadata_or_the_typed_refusal_within_bounded_memory()
    {
        (string Role, byte[] File, Action<ReadOnlyMemory<byte>> Read)[] readers =
        [
            ("root", _repository.Root.ToArray(), bytes => MetadataFile.ReadRoot(bytes)),
            ("timestamp", _repository.Timestamp.ToArray(), bytes => MetadataFile.ReadTimestamp(bytes)),
            ("snapshot", _repository.Snapshot.ToArray(), bytes => MetadataFile.ReadSnapshot(bytes)),
            ("targets", _repository.Targets.ToArray(), bytes => MetadataFile.ReadTargets(bytes)),
        ];
        var random = new Random(20300101);
        int refused = 0, read = 0;
        for (var i = 0; i < Cases; i++)
        {
            var (role, file, reader) = readers[i % readers.Length];
            var bytes = Mutated(file, readers[random.Next(readers.Length)].File, random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                reader(bytes);
                read++;
            }
            catch (UntrustedMetadataException problem)
            {
                Assert.Equal(role, problem.Role);
                refused++;
            }
            catch (Exception problem)
            {
                Assert.Fail($"case {i}, {role}: {problem.GetType().Name}: {problem.Message}\n{Convert.ToHexString(bytes)}");
            }
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 200_000 + (200 * bytes.Length), $"case {i}, {role}: {allocated} bytes for a file of {bytes.Length}");
        }
        Assert.True(refused > Cases / 4 && read > Cases / 100, $"{refused} refused, {read} read of {Cases}: the mutations miss the point");
    }

    [Fact]
    public void Whatever_the_bytes_a_signing_request_is_read_and_told_or_refused_within_bounded_memory()
    {
        using var online = SigningKey.Create("online");
        using var other = SigningKey.Create("other");
        var keys = new[] { "snapshot", "timestamp", "rollouts" }.ToDictionary(role => role, _ => new RoleOfKeys(1, [online.Public]));
        foreach (var role in (string[])["root", "targets", "releases"])
            keys[role] = new(1, [_repository.RootKey.Public, other.Public]);
        var create = KeyCeremony.Create(keys, TestRepository.Now).Sign(other, out _);
        var present = create.Metadata;
        byte[][] files =
        [
            create.Write(),
            KeyCeremony.Change("Replace a key.", present, [new("root") { Remove = ["other"] }, new("releases") { Threshold = 2 }], ["targets"], TestRepository.Now).Write(),
            KeyCeremony.Release(present, "releases/plant/bearing/1.0.0.json", "{\"model\":\"plant/bearing\"}"u8.ToArray(), TestRepository.Now).Write(),
        ];
        var random = new Random(20300102);
        int refused = 0, read = 0;
        for (var i = 0; i < Cases; i++)
        {
            var bytes = Mutated(files[i % files.Length], files[random.Next(files.Length)], random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var request = SigningRequest.Read(bytes);
                var told = SigningSummary.Of(request).AddRange(SigningSummary.Signatures(request)).Add(SigningSummary.Printable(request.Purpose));
                Assert.All(told, line => Assert.DoesNotContain(line, char.IsControl));
                read++;
            }
            catch (UntrustedMetadataException)
            {
                refused++;
            }
            catch (Exception problem) when (problem is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"case {i}: {problem.GetType().Name}: {problem.Message}\n{System.Text.Encoding.UTF8.GetString(bytes)}");
            }
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 400_000 + (300 * bytes.Length), $"case {i}: {allocated} bytes for a file of {bytes.Length}");
        }
        Assert.True(refused > Cases / 4 && read > Cases / 100, $"{refused} refused, {read} read of {Cases}: the mutations miss the point");
    }

    static readonly string[] Odd =
    [
        "\"\\ud800\"", "-0", "1e9", "1.5", "99999999999999999999", "null", "true", "[]", "{}", "\"\"", "\"04\"", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "9007199254740993",
    ];

    static byte[] Mutated(byte[] file, byte[] other, Random random)
    {
        var bytes = file.ToList();
        for (var changes = random.Next(1, 4); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(8))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 40), bytes.Count - at));
                    break;
                case 3:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 4: // part of another file
                    var start = random.Next(other.Length);
                    bytes.InsertRange(at, other[start..Math.Min(other.Length, start + random.Next(200))]);
                    break;
                case 5: // a value of another kind after a colon
                    var colon = bytes.IndexOf((byte)':', at);
                    if (colon >= 0)
                    {
                        var end = bytes.FindIndex(colon, b => b is (byte)',' or (byte)'}');
                        bytes.RemoveRange(colon + 1, Math.Max(0, end - colon - 1));
                        bytes.InsertRange(colon + 1, System.Text.Encoding.UTF8.GetBytes(Odd[random.Next(Odd.Length)]));
                    }
                    break;
                case 6: // a digit
                    var digit = bytes.FindIndex(at, b => b is >= (byte)'0' and <= (byte)'9');
                    if (digit >= 0)
                        bytes[digit] = (byte)('0' + random.Next(10));
                    break;
                default: // a part twice
                    var length = Math.Min(random.Next(1, 60), bytes.Count - at);
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
            }
        }
        return [.. bytes];
    }

    [Theory]
    [InlineData("[")]
    [InlineData("{\"signed\":")]
    public void Nesting_without_end_is_refused(string level)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(level, 100_000)));
        TestRepository.Refused(Distrust.Malformed, "targets", () => MetadataFile.ReadTargets(bytes));
    }

    [Fact]
    public void Ten_thousand_keys_that_nobody_asks_for_cost_no_key_work()
    {
        var keys = string.Join(',', Enumerable.Range(0, 10_000).Select(
            i => $"\"k{i}\":{{\"keytype\":\"rsa\",\"scheme\":\"rsassa-pss-sha256\",\"keyval\":{{\"public\":\"-----BEGIN PUBLIC KEY-----{i}\"}}}}"));
        var text = System.Text.Encoding.UTF8.GetString(_repository.Root.Span).Replace("\"keys\":{", "\"keys\":{" + keys + ",", StringComparison.Ordinal);
        var bytes = System.Text.Encoding.UTF8.GetBytes(text);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(10_004, MetadataFile.ReadRoot(bytes).Signed.Keys.Count);
        var ratio = (GC.GetAllocatedBytesForCurrentThread() - before) / bytes.Length;
        Assert.True(ratio < 30, $"{ratio} bytes for each byte of the file");
    }

    // What the repository side writes the client takes; with any one byte changed it takes nothing else.
    [Fact]
    public void A_single_changed_byte_anywhere_is_refused_or_says_the_same()
    {
        var random = new Random(4);
        Check(_repository.Root, (bytes, _) => new TrustedMetadataSet(bytes, TestRepository.Now).Root);
        Check(_repository.Timestamp, (bytes, client) => client.UpdateTimestamp(bytes) ? client.Timestamp : null);
        Check<Snapshot>(_repository.Snapshot, (bytes, client) =>
        {
            client.UpdateTimestamp(_repository.Timestamp);
            client.UpdateSnapshot(bytes);
            return null; // its digest is in the timestamp: no other byte will do
        });
        Check<Targets>(_repository.Targets, (bytes, client) =>
        {
            client.UpdateTimestamp(_repository.Timestamp);
            client.UpdateSnapshot(_repository.Snapshot);
            client.UpdateTargets(bytes);
            return null;
        });

        void Check<TRole>(ReadOnlyMemory<byte> file, Func<byte[], TrustedMetadataSet, MetadataFile<TRole>?> update) where TRole : RoleMetadata
        {
            var original = update(file.ToArray(), new TrustedMetadataSet(_repository.Root, TestRepository.Now));
            for (var at = 0; at < file.Length; at++)
            {
                var changed = file.ToArray();
                changed[at] ^= (byte)random.Next(1, 256);
                try
                {
                    var taken = update(changed, new TrustedMetadataSet(_repository.Root, TestRepository.Now));
                    // A hexadecimal digit of the signature may change its case: the same signature over the same bytes.
                    Assert.True(
                        taken is not null && taken.SignedForm.Span.SequenceEqual(original!.SignedForm.Span), $"byte {at} of {typeof(TRole).Name}");
                }
                catch (UntrustedMetadataException)
                {
                    // refused, as it should be
                }
            }
        }
    }
}
