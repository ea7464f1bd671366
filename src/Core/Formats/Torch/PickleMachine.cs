using System.Globalization;

namespace Coppice.Formats.Torch;

/// <summary>Python's pickle machine, protocols 0 to 5, without the part that runs code: it builds a tree of names and values.</summary>
/// <remarks>Opcodes after CPython's Lib/pickletools.py. Every value costs a step of <see cref="ReadLimits.PickleValues"/>.</remarks>
sealed class PickleMachine(ByteWindow bytes, long start)
{
    readonly List<PickleValue> stack = [];
    readonly List<int> marks = [];
    readonly Dictionary<long, PickleValue> memo = [];
    long at = start;
    int made;

    /// <summary>Runs one pickle.</summary>
    /// <returns>What it builds, and where the next byte after it is.</returns>
    public static (PickleValue Value, long End) Run(ByteWindow bytes, long start)
    {
        var machine = new PickleMachine(bytes, start);
        while (machine.Step(out var value))
        {
            if (value is not null)
                return (value, machine.at);
            if (machine.at - start > ReadLimits.PickleBytes)
                throw bytes.Malformed(start, $"a pickle has more than {ReadLimits.PickleBytes} bytes; the file is not a model or damaged.");
        }
        throw bytes.Malformed(machine.at, "the pickle does not end; the file is cut short, fetch it again.");
    }

    bool Step(out PickleValue? result)
    {
        result = null;
        if (at >= bytes.Length)
            return false;
        var place = at;
        var opcode = bytes.Byte(at++);
        switch (opcode)
        {
            case (byte)'.': result = Pop(); break;
            case (byte)'(': marks.Add(stack.Count); Count(); break;
            case (byte)'0':
                if (marks.Count > 0 && marks[^1] == stack.Count)
                    marks.RemoveAt(marks.Count - 1);
                else
                    Pop();
                break;
            case (byte)'1': PopMark(); break;
            case (byte)'2': Push(Peek()); break;

            case (byte)'N' or 0x88 or 0x89: Push(PickleValue.Opaque); break; // None, True, False
            case (byte)'K': Push(new PickleNumber(bytes.Byte(Skip(1)))); break;
            case (byte)'M': Push(new PickleNumber(bytes.UInt16(Skip(2)))); break;
            case (byte)'J': Push(new PickleNumber(bytes.Int32(Skip(4)))); break;
            case 0x8A: Push(LongNumber(bytes.Byte(Skip(1)))); break;
            case 0x8B: Push(LongNumber(bytes.UInt32(Skip(4)))); break;
            case (byte)'I' or (byte)'L': Push(NumberLine()); break;
            case (byte)'F': Line(); Push(PickleValue.Opaque); break;
            case (byte)'G': Skip(8); Push(PickleValue.Opaque); break;

            case (byte)'X' or (byte)'T': Push(Text(bytes.UInt32(Skip(4)))); break;
            case 0x8C or (byte)'U': Push(Text(bytes.Byte(Skip(1)))); break;
            case 0x8D: Push(Text(bytes.UInt64(Skip(8)))); break;
            case (byte)'V' or (byte)'S': Push(new PickleText(Line().Trim('\'', '"'))); break;
            case (byte)'B': Skip(bytes.UInt32(Skip(4))); Push(PickleValue.Opaque); break;
            case (byte)'C': Skip(bytes.Byte(Skip(1))); Push(PickleValue.Opaque); break;
            case 0x8E or 0x96: Skip(Long(bytes.UInt64(Skip(8)))); Push(PickleValue.Opaque); break;

            case (byte)']' or (byte)')' or 0x8F: Push(new PickleList { Items = [] }); break;
            case (byte)'}': Push(new PickleMap()); break;
            case (byte)'l' or (byte)'t' or 0x91: Push(new PickleList { Items = PopMark() }); break;
            case (byte)'d': Push(MapOf(PopMark())); break;
            case 0x85 or 0x86 or 0x87: Push(new PickleList { Items = PopLast(opcode - 0x84) }); break;
            case (byte)'a': Append([Pop()]); break;
            case (byte)'e' or 0x90: Append(PopMark()); break;
            case (byte)'s': SetItems(PopLast(2)); break;
            case (byte)'u': SetItems(PopMark()); break;

            case (byte)'p': memo[Index(Line())] = Peek(); break;
            case (byte)'q': memo[bytes.Byte(Skip(1))] = Peek(); break;
            case (byte)'r': memo[bytes.UInt32(Skip(4))] = Peek(); break;
            case 0x94: memo[memo.Count] = Peek(); break;
            case (byte)'g': Get(Index(Line())); break;
            case (byte)'h': Get(bytes.Byte(Skip(1))); break;
            case (byte)'j': Get(bytes.UInt32(Skip(4))); break;

            case (byte)'c': Push(new PickleGlobal(Line(), Line())); break;
            case 0x93: Push(StackGlobal()); break;
            case (byte)'R' or 0x81: Call(); break;
            case 0x92: Pop(); Call(); break; // keyword arguments tell nothing of tensors
            case (byte)'o': CallMarked(PopMark()); break;
            case (byte)'i': Push(new PickleCall(new PickleGlobal(Line(), Line()), new PickleList { Items = PopMark() })); break;
            case (byte)'b': Build(); break;
            case (byte)'Q': Push(new PicklePersistent(Pop())); break;
            case (byte)'P': Push(new PicklePersistent(new PickleText(Line()))); break;

            case 0x80: Skip(1); break; // protocol
            case 0x95: Skip(8); break; // frame
            case 0x82: Skip(1); Push(PickleValue.Opaque); break; // extension registry
            case 0x83: Skip(2); Push(PickleValue.Opaque); break;
            case 0x84: Skip(4); Push(PickleValue.Opaque); break;
            case 0x97: Push(PickleValue.Opaque); break; // out-of-band buffer
            case 0x98: break;
            default: throw bytes.Malformed(place, $"{opcode} is no pickle opcode; the file is damaged, fetch it again.");
        }
        return true;
    }

    long Skip(long count)
    {
        var from = at;
        bytes.Check(from, count, "a value of the pickle");
        at += count;
        return from;
    }

    long Long(ulong length) => length <= long.MaxValue ? (long)length
        : throw bytes.Malformed(at, $"a value of the pickle has {length} bytes; the file is damaged.");

    void Count()
    {
        if (++made > ReadLimits.PickleValues)
            throw bytes.Malformed(at, $"a pickle makes more than {ReadLimits.PickleValues} values; the file is damaged or made to exhaust memory.");
    }

    void Push(PickleValue value)
    {
        Count();
        stack.Add(value);
    }

    int Floor => marks.Count > 0 ? marks[^1] : 0;

    PickleValue Pop()
    {
        var value = Peek();
        stack.RemoveAt(stack.Count - 1);
        return value;
    }

    PickleValue Peek() => stack.Count > Floor ? stack[^1] : throw bytes.Malformed(at - 1, "the pickle takes a value that it has not made; the file is damaged.");

    List<PickleValue> PopLast(int count)
    {
        if (stack.Count - Floor < count)
            throw bytes.Malformed(at - 1, "the pickle takes values that it has not made; the file is damaged.");
        var items = stack.GetRange(stack.Count - count, count);
        stack.RemoveRange(stack.Count - count, count);
        return items;
    }

    List<PickleValue> PopMark()
    {
        if (marks.Count == 0)
            throw bytes.Malformed(at - 1, "the pickle goes back to a mark that it has not set; the file is damaged.");
        var items = PopLast(stack.Count - marks[^1]);
        marks.RemoveAt(marks.Count - 1);
        return items;
    }

    PickleValue LongNumber(long length)
    {
        var from = Skip(length);
        if (length > 8)
            return PickleValue.Opaque;
        var value = 0L;
        foreach (var (i, part) in bytes.Slice(from, (int)length).ToArray().Index())
            value |= (long)part << (8 * i);
        var unused = 64 - 8 * (int)length;
        return new PickleNumber(length == 0 ? 0 : value << unused >> unused);
    }

    PickleValue NumberLine() => long.TryParse(Line().TrimEnd('L'), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
        ? new PickleNumber(number) : PickleValue.Opaque;

    long Index(string line) => long.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var index)
        ? index : throw bytes.Malformed(at, $"'{line}' is no place in the pickle's memo; the file is damaged.");

    PickleValue Text(ulong length)
    {
        var from = Skip(Long(length));
        return length > ReadLimits.NameBytes ? PickleValue.Opaque : new PickleText(bytes.Name(from, (long)length));
    }

    string Line()
    {
        var from = at;
        while (bytes.Byte(at++) != '\n')
        {
            if (at - from > ReadLimits.NameBytes)
                throw bytes.Malformed(from, $"a line of the pickle has more than {ReadLimits.NameBytes} bytes; the file is damaged.");
        }
        return bytes.Name(from, at - from - 1);
    }

    void Get(long index)
    {
        if (!memo.TryGetValue(index, out var value))
            throw bytes.Malformed(at, $"the pickle's memo has no value {index}; the file is damaged.");
        Push(value);
    }

    static PickleMap MapOf(List<PickleValue> items)
    {
        var map = new PickleMap();
        AddPairs(map.Pairs, items);
        return map;
    }

    static void AddPairs(List<(PickleValue, PickleValue)> pairs, List<PickleValue> items)
    {
        for (var i = 0; i + 1 < items.Count; i += 2)
            pairs.Add((items[i], items[i + 1]));
    }

    void SetItems(List<PickleValue> items)
    {
        switch (Peek())
        {
            case PickleMap map: AddPairs(map.Pairs, items); break;
            case PickleCall call: AddPairs(call.Pairs ??= [], items); break;
        }
    }

    void Append(List<PickleValue> items)
    {
        switch (Peek())
        {
            case PickleList list: list.Items.AddRange(items); break;
            case PickleCall call: (call.Items ??= []).AddRange(items); break;
        }
    }

    PickleValue StackGlobal()
    {
        var (name, module) = (Pop(), Pop());
        return name is PickleText named && module is PickleText from ? new PickleGlobal(from.Value, named.Value) : PickleValue.Opaque;
    }

    void Call()
    {
        var (arguments, callee) = (Pop(), Pop());
        Push(new PickleCall(callee, arguments));
    }

    void CallMarked(List<PickleValue> items)
    {
        if (items.Count == 0)
            throw bytes.Malformed(at, "the pickle makes an object of no class; the file is damaged.");
        Push(new PickleCall(items[0], new PickleList { Items = items[1..] }));
    }

    void Build()
    {
        var state = Pop();
        if (Peek() is PickleCall call)
            call.State = state;
    }
}
