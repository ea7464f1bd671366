using System.Runtime.CompilerServices;

namespace Coppice.Delta.Bytes;

/// <summary>The small coding of a frame: every decision predicted by mixed contexts, about 1 to 3 MB/s of coded bytes.</summary>
sealed class StrongFrame
{
    readonly CommandModel _commands = new();
    readonly Agreement _agreement = new();
    readonly SourceWindow _window;
    readonly LiteralModel _literals = new();

    public StrongFrame(SourceWindow window) => _window = window;

    /// <summary>Prepares for a frame, with the memory of the last one.</summary>
    public void Begin(StrongHeader header)
    {
        _literals.Reset(header.Shape, header.TableBits);
        _commands.Reset(_window.Olds);
        _agreement.Reset();
        Agreeing = 0;
    }

    /// <summary>Writes or measures a frame.</summary>
    /// <param name="coder">Writes or measures.</param>
    /// <param name="plan">Steps that make the whole frame.</param>
    /// <param name="frame">The frame's bytes.</param>
    /// <param name="origin">Where the frame begins in the new file.</param>
    /// <param name="place">Where in the frame the first step begins.</param>
    public void Encode<TCoder>(ref TCoder coder, ReadOnlySpan<Command> plan, Span<byte> frame, long origin, int place = 0)
        where TCoder : struct, IBitCoder, allows ref struct
    {
        foreach (var command in plan)
        {
            _commands.Code(ref coder, command, origin + place);
            place = Run(ref coder, command, frame, origin, place);
        }
    }

    /// <summary>Reads a frame.</summary>
    /// <param name="coder">The payload.</param>
    /// <param name="frame">Filled.</param>
    /// <param name="origin">Where the frame begins in the new file.</param>
    /// <exception cref="MalformedPatchException">The payload is not one of a frame of this length.</exception>
    public void Decode(ref ArithmeticReader coder, Span<byte> frame, long origin)
    {
        for (var place = 0; place < frame.Length;)
        {
            var position = origin + place;
            var command = _commands.Code(ref coder, default, position);
            CommandRules.Check(command, _window.Length(command.Source, position), position, frame.Length - place, place, IsOwn(command));
            if (command.Copy > 0)
                _window.Copy(command.Source, command.From, frame, origin, place, command.Copy);
            place = Run(ref coder, command, frame, origin, place);
        }
    }

    bool IsOwn(Command command) => _window.IsOwn(command.Source);

    /// <summary>Bytes since <see cref="Begin"/> that were coded as the old byte at their place.</summary>
    public long Agreeing { get; private set; }

    /// <summary>Codes a step's literals; its copy is in place already.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Run<TCoder>(ref TCoder coder, Command command, Span<byte> frame, long origin, int place)
        where TCoder : struct, IBitCoder, allows ref struct
    {
        var literals = _literals;
        place += command.Copy;
        if (command.Copy > 0)
        {
            literals.Skip();
            _agreement.Copied(command.Copy);
        }
        if (!command.Aligned)
        {
            for (var end = place + command.Literals; place < end; place++)
                frame[place] = (byte)literals.Code(ref coder, frame[place], frame, place, origin, -1);
            return place;
        }

        var from = command.From + command.Copy;
        for (var i = 0; i < command.Literals; i++, place++, from++)
        {
            var old = _window.At(command.Source, from, frame, origin, place)
                | _window.At(command.Source, from - 1, frame, origin, place) << 8
                | _window.At(command.Source, from + 1, frame, origin, place) << 16;
            var last = place > 0 ? frame[place - 1] : 0;
            var agrees = _agreement.Code(ref coder, frame[place] == (byte)old ? 1 : 0, old, last, (int)((origin + place) & 7), i);
            if (agrees != 0)
            {
                frame[place] = (byte)old;
                literals.Hit();
                Agreeing++;
            }
            else
            {
                frame[place] = (byte)literals.Code(ref coder, frame[place], frame, place, origin, old);
            }
        }
        return place;
    }
}

/// <summary>What a step that was read must keep to.</summary>
static class CommandRules
{
    /// <exception cref="MalformedPatchException">The step would read or write outside, or makes nothing.</exception>
    public static void Check(Command command, long length, long position, int room, int place, bool own)
    {
        if (command.Copy > room || command.Literals > room - command.Copy)
            throw Malformed(place, $"a step makes {(long)command.Copy + command.Literals} bytes where {room} are left");
        if (command.Copy + command.Literals == 0)
            throw Malformed(place, "a step makes nothing");
        if (command.Copy > 0 && (command.From < 0 || (own ? command.From >= position : command.From > length - command.Copy)))
            throw Malformed(place, $"{command.Copy} bytes are taken from byte {command.From} of source {command.Source}, which has {length}");
    }

    static MalformedPatchException Malformed(int place, string problem) =>
        new(0, $"byte frame, place {place}: {problem}" + "; fetch the patch again, and check that it is meant for this old file.");
}
