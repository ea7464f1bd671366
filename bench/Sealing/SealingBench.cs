using System.Globalization;
using System.Security.Cryptography;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Bench.Sealing;

/// <summary>What sealing costs, in processor time of one core.</summary>
static class SealingBench
{
    const int Megabytes = 512;
    const int Rounds = 5;

    public static int Run(string[] args)
    {
        if (args is not [])
        {
            Console.Error.WriteLine("sealing takes no arguments.");
            return 2;
        }

        foreach (var segment in (int[])[16 << 10, 64 << 10, SealHeader.DefaultSegment, 256 << 10, 1 << 20])
            Segments(segment);
        Streams();
        Wraps();
        return 0;
    }

    /// <summary>Segments alone, in buffers that are used again.</summary>
    static void Segments(int size)
    {
        using var key = new ContentKey(Sha256Digest.Of("bench"u8).ToArray());
        using var cipher = new SegmentCipher(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of("content"u8), size));
        var (plain, made) = (new byte[size], new byte[size + SealHeader.TagBytes]);
        new Random(1).NextBytes(plain);
        var count = (Megabytes * 1_000_000L) / size;
        var seal = Best(() =>
        {
            for (var i = 0L; i < count; i++)
                cipher.Seal(i, false, plain, made);
        });
        cipher.Seal(7, false, plain, made);
        var open = Best(() =>
        {
            for (var i = 0L; i < count; i++)
                cipher.Open(7, false, made, plain);
        });
        Say($"segments of {size >> 10} KiB: seal {count * (double)size / 1e9 / seal:0.00} GB/s, open {count * (double)size / 1e9 / open:0.00} GB/s");
    }

    /// <summary>The streams that a publisher and a device use, with and without the digest that both also take.</summary>
    static void Streams()
    {
        using var key = new ContentKey(Sha256Digest.Of("bench"u8).ToArray());
        var plain = new byte[Megabytes * 1_000_000];
        new Random(1).NextBytes(plain);
        var header = SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain));
        var made = new byte[SealHeader.SealedLength(plain.Length, SealHeader.DefaultSegment)];
        var buffer = new byte[SealHeader.DefaultSegment];
        long allocated = 0;
        var seal = Best(() =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            using var stream = new SealingStream(new MemoryStream(plain), new(key, header));
            var at = 0;
            for (int read; (read = stream.Read(made, at, made.Length - at)) > 0;)
                at += read;
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        });
        var open = Best(() =>
        {
            var body = new MemoryStream(made) { Position = SealHeader.ByteCount };
            using var stream = new OpeningStream(body, new(key, header), plain.Length);
            while (stream.Read(buffer) > 0)
            {
            }
        });
        var digest = Best(() => SHA256.HashData(plain));
        Say($"a file of {Megabytes} MB through the streams: seal {plain.Length / 1e9 / seal:0.00} GB/s, open {plain.Length / 1e9 / open:0.00} GB/s; {allocated / 1e3:0} kB allocated; SHA-256 of it alone {plain.Length / 1e9 / digest:0.00} GB/s");
    }

    /// <summary>What a release costs for each device: one grant for each content key.</summary>
    static void Wraps()
    {
        const int count = 2_000;
        using var key = new ContentKey(Sha256Digest.Of("bench"u8).ToArray());
        using var device = SealingKey.Create();
        var info = device.Public.Info.ToArray();
        var to = Best(() =>
        {
            for (var i = 0; i < count; i++)
                Grant.Of(key, device.Public);
        });
        var read = Best(() =>
        {
            for (var i = 0; i < count; i++)
            {
                SealingPublicKey.TryRead(info, out var public1);
                Grant.Of(key, public1!);
                public1!.Dispose();
            }
        });
        var grant = Grant.Of(key, device.Public);
        var open = Best(() =>
        {
            for (var i = 0; i < count; i++)
                grant.OpenContent(device).Dispose();
        });
        Say($"grants: {count / to:0} a second, with the public key read first {count / read:0} a second, 100,000 devices {100_000 / (count / read):0} s of one core; opening {count / open:0} a second");
    }

    /// <summary>Seconds of processor time, the best of a few rounds: other programs may share the machine.</summary>
    static double Best(Action work)
    {
        work();
        var best = double.MaxValue;
        for (var i = 0; i < Rounds; i++)
        {
            var start = Environment.CpuUsage.TotalTime;
            work();
            best = Math.Min(best, (Environment.CpuUsage.TotalTime - start).TotalSeconds);
        }

        return best;
    }

    static void Say(FormattableString text) => Console.Out.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
