using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Coppice.Core.Tests.Formats;

/// <summary>A table of a flatbuffer: its fields by number; scalars, texts, vectors of numbers, tables and vectors of tables.</summary>
sealed record FlatNode(params (int Index, object Value)[] Fields);

/// <summary>Writes a flatbuffer front to back: every table before what it points at.</summary>
sealed class FlatWriter
{
    readonly List<byte> bytes = [];

    public static byte[] Write(FlatNode root, string identifier)
    {
        var writer = new FlatWriter();
        writer.bytes.AddRange(new byte[4]);
        writer.bytes.AddRange(Encoding.ASCII.GetBytes(identifier));
        writer.Point(0, writer.Table(root));
        return [.. writer.bytes];
    }

    int Table(FlatNode node)
    {
        var slots = node.Fields.Length == 0 ? 0 : node.Fields.Max(field => field.Index) + 1;
        Align(8);
        var vtable = bytes.Count;
        var vtableSize = 4 + 2 * slots;
        bytes.AddRange(new byte[vtableSize]);
        Align(8);
        var table = bytes.Count;
        var size = 8 + 8 * node.Fields.Length;
        bytes.AddRange(new byte[size]);
        var all = CollectionsMarshal.AsSpan(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(all[vtable..], (ushort)vtableSize);
        BinaryPrimitives.WriteUInt16LittleEndian(all[(vtable + 2)..], (ushort)size);
        BinaryPrimitives.WriteInt32LittleEndian(all[table..], table - vtable);
        for (var i = 0; i < node.Fields.Length; i++)
        {
            var (index, value) = node.Fields[i];
            var at = table + 8 + 8 * i;
            all = CollectionsMarshal.AsSpan(bytes);
            BinaryPrimitives.WriteUInt16LittleEndian(all[(vtable + 4 + 2 * index)..], (ushort)(at - table));
            switch (value)
            {
                case sbyte small: all[at] = (byte)small; break;
                case int number: BinaryPrimitives.WriteInt32LittleEndian(all[at..], number); break;
                case ulong number: BinaryPrimitives.WriteUInt64LittleEndian(all[at..], number); break;
                case string text: Point(at, Vector(Encoding.UTF8.GetBytes(text), text.Length)); break;
                case byte[] data: Point(at, Vector(data, data.Length)); break;
                case int[] numbers: Point(at, Vector(MemoryMarshal.AsBytes(numbers.AsSpan()), numbers.Length)); break;
                case float[] numbers: Point(at, Vector(MemoryMarshal.AsBytes(numbers.AsSpan()), numbers.Length)); break;
                case long[] numbers: Point(at, Vector(MemoryMarshal.AsBytes(numbers.AsSpan()), numbers.Length)); break;
                case FlatNode child: Point(at, Table(child)); break;
                case FlatNode[] children: Point(at, Tables(children)); break;
                default: throw new ArgumentException($"{value.GetType()} is no flatbuffer value.", nameof(node));
            }
        }
        return table;
    }

    int Vector(ReadOnlySpan<byte> data, int count)
    {
        Align(8);
        bytes.AddRange(new byte[4]); // so that items of eight bytes lie on a multiple of eight
        var at = bytes.Count;
        bytes.AddRange(BitConverter.GetBytes(count));
        bytes.AddRange(data);
        return at;
    }

    int Tables(FlatNode[] nodes)
    {
        var at = Vector(new byte[4 * nodes.Length], nodes.Length);
        for (var i = 0; i < nodes.Length; i++)
            Point(at + 4 + 4 * i, Table(nodes[i]));
        return at;
    }

    void Point(int from, int to) => BinaryPrimitives.WriteInt32LittleEndian(CollectionsMarshal.AsSpan(bytes)[from..], to - from);

    void Align(int size)
    {
        while (bytes.Count % size != 0)
            bytes.Add(0);
    }
}
