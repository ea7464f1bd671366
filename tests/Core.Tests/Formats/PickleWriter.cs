using System.Text;

namespace Coppice.Core.Tests.Formats;

/// <summary>Pickles of protocol 2, opcode by opcode, and the tensors that PyTorch writes with them.</summary>
sealed class PickleWriter
{
    readonly List<byte> bytes = [0x80, 2];

    public byte[] End() => [.. bytes, (byte)'.'];

    public PickleWriter Op(params ReadOnlySpan<byte> opcode)
    {
        bytes.AddRange(opcode);
        return this;
    }

    public PickleWriter Op(char opcode) => Op((byte)opcode);

    public PickleWriter Text(string text)
    {
        var data = Encoding.UTF8.GetBytes(text);
        return Op('X').Op(BitConverter.GetBytes(data.Length)).Op(data);
    }

    public PickleWriter Number(int number) => Op('J').Op(BitConverter.GetBytes(number));

    public PickleWriter Global(string module, string name) => Op('c').Op(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public PickleWriter Tuple(params ReadOnlySpan<int> numbers)
    {
        Op('(');
        foreach (var number in numbers)
            Number(number);
        return Op('t');
    }

    /// <summary>A tensor over a storage, as <c>_rebuild_tensor_v2</c>.</summary>
    public PickleWriter Tensor(string type, string key, int elements, int first, int[] shape, int[] strides, bool legacy = false)
    {
        Global("torch._utils", "_rebuild_tensor_v2").Op('(');
        Op('(').Text("storage").Global("torch", type).Text(key).Text("cpu").Number(elements);
        if (legacy)
            Op('N');
        Op('t').Op('Q').Number(first).Tuple(shape).Tuple(strides).Op(0x89);
        return Global("collections", "OrderedDict").Op(')').Op('R').Op('t').Op('R');
    }
}
