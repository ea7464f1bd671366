using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>What a model says about itself.</summary>
/// <param name="Producer">The tool that wrote it.</param>
/// <param name="GraphName">The name of its graph.</param>
/// <param name="Domain">Whose it is, as a reversed DNS name.</param>
/// <param name="Description">For people.</param>
/// <param name="Version">The writer's own count.</param>
/// <param name="Entries">Key-values of <c>metadata_props</c>.</param>
public sealed record OrtModelMetadata(
    string Producer, string GraphName, string Domain, string Description, long Version, ImmutableSortedDictionary<string, string> Entries);

/// <summary>Reads what a session takes and gives.</summary>
static unsafe class OrtDescription
{
    /// <summary>ONNX_TYPE_TENSOR of the C API.</summary>
    const int TensorKind = 1;

    delegate nint NameOf(nint session, nuint index, nint allocator, byte** name);

    delegate nint TypeOf(nint session, nuint index, nint* type);

    public static ImmutableArray<TensorSpec> Inputs(nint session, string subject)
    {
        nuint count;
        OrtStatus.Check(Ort.SessionGetInputCount(session, &count), OrtStep.Describe, subject);
        return Specs(session, subject, "input", count, Ort.SessionGetInputName, Ort.SessionGetInputTypeInfo);
    }

    public static ImmutableArray<TensorSpec> Outputs(nint session, string subject)
    {
        nuint count;
        OrtStatus.Check(Ort.SessionGetOutputCount(session, &count), OrtStep.Describe, subject);
        return Specs(session, subject, "output", count, Ort.SessionGetOutputName, Ort.SessionGetOutputTypeInfo);
    }

    public static ImmutableArray<TensorSpec> Overridable(nint session, string subject)
    {
        nuint count;
        OrtStatus.Check(Ort.SessionGetOverridableInitializerCount(session, &count), OrtStep.Describe, subject);
        return Specs(session, subject, "weight", count, Ort.SessionGetOverridableInitializerName, Ort.SessionGetOverridableInitializerTypeInfo);
    }

    public static OrtModelMetadata Metadata(nint session, string subject)
    {
        nint metadata;
        OrtStatus.Check(Ort.SessionGetModelMetadata(session, &metadata), OrtStep.Describe, subject);
        try
        {
            var allocator = OrtEnvironment.DefaultAllocator;
            byte* producer, graph, domain, description;
            long version, count;
            byte** keys;
            Check(Ort.ModelMetadataGetProducerName(metadata, allocator, &producer));
            Check(Ort.ModelMetadataGetGraphName(metadata, allocator, &graph));
            Check(Ort.ModelMetadataGetDomain(metadata, allocator, &domain));
            Check(Ort.ModelMetadataGetDescription(metadata, allocator, &description));
            Check(Ort.ModelMetadataGetVersion(metadata, &version));
            Check(Ort.ModelMetadataGetCustomMetadataMapKeys(metadata, allocator, &keys, &count));
            var entries = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
            for (var i = 0L; i < count; i++)
            {
                byte* value;
                Check(Ort.ModelMetadataLookupCustomMetadataMap(metadata, allocator, keys[i], &value));
                entries[OrtText.Take(keys[i])] = OrtText.Take(value);
            }
            if (keys is not null)
                OrtStatus.Forget(Ort.AllocatorFree(allocator, keys));
            return new(
                OrtText.Take(producer), OrtText.Take(graph), OrtText.Take(domain), OrtText.Take(description), version, entries.ToImmutable());
        }
        finally
        {
            Ort.ReleaseModelMetadata(metadata);
        }

        void Check(nint status) => OrtStatus.Check(status, OrtStep.Describe, subject);
    }

    /// <summary>Pointers to the names, then the names, zero-terminated, in one block for <see cref="NativeMemory.Free"/>.</summary>
    public static byte** NativeNames(ReadOnlySpan<TensorSpec> specs)
    {
        var length = specs.Length * sizeof(byte*);
        foreach (var spec in specs)
            length += Encoding.UTF8.GetByteCount(spec.Name) + 1;
        var names = (byte**)NativeMemory.AllocZeroed((nuint)Math.Max(length, 1));
        var text = (byte*)(names + specs.Length);
        var end = (byte*)names + length;
        for (var i = 0; i < specs.Length; i++)
        {
            names[i] = text;
            text += Encoding.UTF8.GetBytes(specs[i].Name, new Span<byte>(text, (int)(end - text))) + 1;
        }
        return names;
    }

    static ImmutableArray<TensorSpec> Specs(nint session, string subject, string role, nuint count, NameOf nameOf, TypeOf typeOf)
    {
        var specs = ImmutableArray.CreateBuilder<TensorSpec>((int)count);
        for (nuint i = 0; i < count; i++)
        {
            byte* text;
            OrtStatus.Check(nameOf(session, i, OrtEnvironment.DefaultAllocator, &text), OrtStep.Describe, subject);
            var name = OrtText.Take(text);
            nint type;
            OrtStatus.Check(typeOf(session, i, &type), OrtStep.Describe, subject);
            try
            {
                specs.Add(Spec(type, subject, role, name));
            }
            finally
            {
                Ort.ReleaseTypeInfo(type);
            }
        }
        return specs.MoveToImmutable();
    }

    static TensorSpec Spec(nint type, string subject, string role, string name)
    {
        int kind;
        OrtStatus.Check(Ort.GetOnnxTypeFromTypeInfo(type, &kind), OrtStep.Describe, subject);
        if (kind != TensorKind)
        {
            throw new InferenceException(
                $"'{subject}': the {role} '{name}' is a {KindName(kind)}, and only models of plain tensors run here. " +
                "Export the model again with tensors in its place (skl2onnx: options={'zipmap': False}).")
            { Fault = InferenceFault.Model };
        }

        nint tensor; // a part of the type, not freed by itself
        int number;
        nuint rank;
        OrtStatus.Check(Ort.CastTypeInfoToTensorInfo(type, &tensor), OrtStep.Describe, subject);
        OrtStatus.Check(Ort.GetTensorElementType(tensor, &number), OrtStep.Describe, subject);
        OrtStatus.Check(Ort.GetDimensionsCount(tensor, &rank), OrtStep.Describe, subject);
        if (OrtElementTypes.TypeOf(number) is var element && element == ElementType.Unknown)
            throw new InferenceException($"'{subject}': the {role} '{name}' has elements of type {number}, unknown here; export the model with another.") { Fault = InferenceFault.Model };
        var shape = new long[rank];
        fixed (long* dimensions = shape)
            OrtStatus.Check(Ort.GetDimensions(tensor, dimensions, rank), OrtStep.Describe, subject);
        return new(name, element, ImmutableCollectionsMarshal.AsImmutableArray(shape)) { AnyRank = Ort.TensorHasShape(tensor) == 0 };
    }

    static string KindName(int kind) => kind switch
    {
        2 => "sequence",
        3 => "map",
        4 => "opaque value",
        5 => "sparse tensor",
        6 => "optional value",
        _ => $"value of kind {kind}",
    };
}
