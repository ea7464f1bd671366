namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>The functions of ONNX Runtime's C API that are used here, by their place in the table <c>struct OrtApi</c>.</summary>
/// <remarks>
/// Places and parameters are those of <c>onnxruntime_c_api.h</c>, API version 29. The table only ever grows, so a place never changes.
/// A function that returns <c>nint</c> returns a status: zero when all went well, else an object for <see cref="OrtStatus.Check"/>.
/// Sizes are <c>nuint</c>, texts UTF-8 with a zero at the end, paths UTF-16 on Windows and UTF-8 elsewhere.
/// </remarks>
static unsafe class Ort
{
    static readonly nint* Table;

    // A constructor, so that this happens at the first call and no earlier: OrtEnvironment has loaded the library by then.
    static Ort() => Table = OrtLibrary.Table;

    // Status
    public static int GetErrorCode(nint status) => ((delegate* unmanaged<nint, int>)Table[1])(status);
    public static byte* GetErrorMessage(nint status) => ((delegate* unmanaged<nint, byte*>)Table[2])(status);
    public static void ReleaseStatus(nint status) => ((delegate* unmanaged<nint, void>)Table[93])(status);

    // Environment
    public static nint CreateEnvWithCustomLogger(nint log, nint state, int level, byte* id, nint* env) =>
        ((delegate* unmanaged<nint, nint, int, byte*, nint*, nint>)Table[4])(log, state, level, id, env);
    public static nint CreateEnvWithCustomLoggerAndGlobalThreadPools(
        nint log, nint state, int level, byte* id, nint threading, nint* env) =>
        ((delegate* unmanaged<nint, nint, int, byte*, nint, nint*, nint>)Table[151])(log, state, level, id, threading, env);
    public static nint CreateThreadingOptions(nint* threading) => ((delegate* unmanaged<nint*, nint>)Table[121])(threading);
    public static nint SetGlobalIntraOpNumThreads(nint threading, int threads) =>
        ((delegate* unmanaged<nint, int, nint>)Table[147])(threading, threads);
    public static nint SetGlobalInterOpNumThreads(nint threading, int threads) =>
        ((delegate* unmanaged<nint, int, nint>)Table[148])(threading, threads);
    public static nint SetGlobalSpinControl(nint threading, int spin) =>
        ((delegate* unmanaged<nint, int, nint>)Table[149])(threading, spin);
    public static void ReleaseThreadingOptions(nint threading) => ((delegate* unmanaged<nint, void>)Table[122])(threading);
    public static byte* GetBuildInfoString() => ((delegate* unmanaged<byte*>)Table[254])();
    public static nint GetAvailableProviders(byte*** names, int* count) =>
        ((delegate* unmanaged<byte***, int*, nint>)Table[125])(names, count);
    public static nint ReleaseAvailableProviders(byte** names, int count) =>
        ((delegate* unmanaged<byte**, int, nint>)Table[126])(names, count);

    // Memory
    public static nint CreateCpuMemoryInfo(int allocator, int memory, nint* info) =>
        ((delegate* unmanaged<int, int, nint*, nint>)Table[69])(allocator, memory, info);
    public static nint GetAllocatorWithDefaultOptions(nint* allocator) => ((delegate* unmanaged<nint*, nint>)Table[78])(allocator);
    public static nint AllocatorFree(nint allocator, void* block) => ((delegate* unmanaged<nint, void*, nint>)Table[76])(allocator, block);
    public static nint CreateArenaCfgV2(byte** keys, nuint* values, nuint count, nint* arena) =>
        ((delegate* unmanaged<byte**, nuint*, nuint, nint*, nint>)Table[164])(keys, values, count, arena);
    public static void ReleaseArenaCfg(nint arena) => ((delegate* unmanaged<nint, void>)Table[157])(arena);
    public static nint CreateAndRegisterAllocator(nint env, nint info, nint arena) =>
        ((delegate* unmanaged<nint, nint, nint, nint>)Table[144])(env, info, arena);
    public static nint UnregisterAllocator(nint env, nint info) => ((delegate* unmanaged<nint, nint, nint>)Table[177])(env, info);
    public static nint CreateAllocator(nint session, nint info, nint* allocator) =>
        ((delegate* unmanaged<nint, nint, nint*, nint>)Table[131])(session, info, allocator);
    public static void ReleaseAllocator(nint allocator) => ((delegate* unmanaged<nint, void>)Table[132])(allocator);
    public static nint AllocatorGetStats(nint allocator, nint* pairs) =>
        ((delegate* unmanaged<nint, nint*, nint>)Table[319])(allocator, pairs);
    public static void GetKeyValuePairs(nint pairs, byte*** keys, byte*** values, nuint* count) =>
        ((delegate* unmanaged<nint, byte***, byte***, nuint*, void>)Table[298])(pairs, keys, values, count);
    public static void ReleaseKeyValuePairs(nint pairs) => ((delegate* unmanaged<nint, void>)Table[300])(pairs);

    // Session options
    public static nint CreateSessionOptions(nint* options) => ((delegate* unmanaged<nint*, nint>)Table[10])(options);
    public static nint SetIntraOpNumThreads(nint options, int threads) =>
        ((delegate* unmanaged<nint, int, nint>)Table[24])(options, threads);
    public static nint SetInterOpNumThreads(nint options, int threads) =>
        ((delegate* unmanaged<nint, int, nint>)Table[25])(options, threads);
    public static nint DisablePerSessionThreads(nint options) => ((delegate* unmanaged<nint, nint>)Table[120])(options);
    public static nint SetSessionExecutionMode(nint options, int mode) => ((delegate* unmanaged<nint, int, nint>)Table[13])(options, mode);
    public static nint SetSessionGraphOptimizationLevel(nint options, int level) =>
        ((delegate* unmanaged<nint, int, nint>)Table[23])(options, level);
    public static nint EnableCpuMemArena(nint options) => ((delegate* unmanaged<nint, nint>)Table[18])(options);
    public static nint DisableCpuMemArena(nint options) => ((delegate* unmanaged<nint, nint>)Table[19])(options);
    public static nint EnableMemPattern(nint options) => ((delegate* unmanaged<nint, nint>)Table[16])(options);
    public static nint DisableMemPattern(nint options) => ((delegate* unmanaged<nint, nint>)Table[17])(options);
    public static nint SetDeterministicCompute(nint options, byte on) => ((delegate* unmanaged<nint, byte, nint>)Table[273])(options, on);
    public static nint SetOptimizedModelFilePath(nint options, void* path) =>
        ((delegate* unmanaged<nint, void*, nint>)Table[11])(options, path);
    public static nint AddFreeDimensionOverrideByName(nint options, byte* name, long size) =>
        ((delegate* unmanaged<nint, byte*, long, nint>)Table[124])(options, name, size);
    public static nint AddSessionConfigEntry(nint options, byte* key, byte* value) =>
        ((delegate* unmanaged<nint, byte*, byte*, nint>)Table[130])(options, key, value);
    public static nint AddExternalInitializersFromFilesInMemory(
        nint options, void** names, byte** files, nuint* lengths, nuint count) =>
        ((delegate* unmanaged<nint, void**, byte**, nuint*, nuint, nint>)Table[279])(options, names, files, lengths, count);
    public static nint SessionOptionsSetLoadCancellationFlag(nint options, byte cancel) =>
        ((delegate* unmanaged<nint, byte, nint>)Table[293])(options, cancel);
    public static void ReleaseSessionOptions(nint options) => ((delegate* unmanaged<nint, void>)Table[100])(options);

    // Session
    public static nint CreateSession(nint env, void* path, nint options, nint* session) =>
        ((delegate* unmanaged<nint, void*, nint, nint*, nint>)Table[7])(env, path, options, session);
    public static nint CreateSessionFromArray(nint env, void* bytes, nuint length, nint options, nint* session) =>
        ((delegate* unmanaged<nint, void*, nuint, nint, nint*, nint>)Table[8])(env, bytes, length, options, session);
    public static void ReleaseSession(nint session) => ((delegate* unmanaged<nint, void>)Table[95])(session);
    public static nint SessionGetInputCount(nint session, nuint* count) =>
        ((delegate* unmanaged<nint, nuint*, nint>)Table[30])(session, count);
    public static nint SessionGetOutputCount(nint session, nuint* count) =>
        ((delegate* unmanaged<nint, nuint*, nint>)Table[31])(session, count);
    public static nint SessionGetOverridableInitializerCount(nint session, nuint* count) =>
        ((delegate* unmanaged<nint, nuint*, nint>)Table[32])(session, count);
    public static nint SessionGetInputName(nint session, nuint index, nint allocator, byte** name) =>
        ((delegate* unmanaged<nint, nuint, nint, byte**, nint>)Table[36])(session, index, allocator, name);
    public static nint SessionGetOutputName(nint session, nuint index, nint allocator, byte** name) =>
        ((delegate* unmanaged<nint, nuint, nint, byte**, nint>)Table[37])(session, index, allocator, name);
    public static nint SessionGetOverridableInitializerName(nint session, nuint index, nint allocator, byte** name) =>
        ((delegate* unmanaged<nint, nuint, nint, byte**, nint>)Table[38])(session, index, allocator, name);
    public static nint SessionGetInputTypeInfo(nint session, nuint index, nint* type) =>
        ((delegate* unmanaged<nint, nuint, nint*, nint>)Table[33])(session, index, type);
    public static nint SessionGetOutputTypeInfo(nint session, nuint index, nint* type) =>
        ((delegate* unmanaged<nint, nuint, nint*, nint>)Table[34])(session, index, type);
    public static nint SessionGetOverridableInitializerTypeInfo(nint session, nuint index, nint* type) =>
        ((delegate* unmanaged<nint, nuint, nint*, nint>)Table[35])(session, index, type);
    public static nint SessionGetModelMetadata(nint session, nint* metadata) =>
        ((delegate* unmanaged<nint, nint*, nint>)Table[111])(session, metadata);
    public static nint Run(
        nint session, nint options, byte** inputNames, nint* inputs, nuint inputCount,
        byte** outputNames, nuint outputCount, nint* outputs) =>
        ((delegate* unmanaged<nint, nint, byte**, nint*, nuint, byte**, nuint, nint*, nint>)Table[9])(
            session, options, inputNames, inputs, inputCount, outputNames, outputCount, outputs);
    public static nint RunWithBinding(nint session, nint options, nint binding) =>
        ((delegate* unmanaged<nint, nint, nint, nint>)Table[133])(session, options, binding);

    // Types
    public static nint GetOnnxTypeFromTypeInfo(nint type, int* kind) => ((delegate* unmanaged<nint, int*, nint>)Table[56])(type, kind);
    public static nint CastTypeInfoToTensorInfo(nint type, nint* tensor) =>
        ((delegate* unmanaged<nint, nint*, nint>)Table[55])(type, tensor);
    public static nint GetTensorElementType(nint tensor, int* element) =>
        ((delegate* unmanaged<nint, int*, nint>)Table[60])(tensor, element);
    public static byte TensorHasShape(nint tensor) => ((delegate* unmanaged<nint, byte>)Table[390])(tensor);
    public static nint GetDimensionsCount(nint tensor, nuint* count) => ((delegate* unmanaged<nint, nuint*, nint>)Table[61])(tensor, count);
    public static nint GetDimensions(nint tensor, long* dimensions, nuint count) =>
        ((delegate* unmanaged<nint, long*, nuint, nint>)Table[62])(tensor, dimensions, count);
    public static void ReleaseTypeInfo(nint type) => ((delegate* unmanaged<nint, void>)Table[98])(type);

    // Metadata
    public static nint ModelMetadataGetProducerName(nint metadata, nint allocator, byte** text) =>
        ((delegate* unmanaged<nint, nint, byte**, nint>)Table[112])(metadata, allocator, text);
    public static nint ModelMetadataGetGraphName(nint metadata, nint allocator, byte** text) =>
        ((delegate* unmanaged<nint, nint, byte**, nint>)Table[113])(metadata, allocator, text);
    public static nint ModelMetadataGetDomain(nint metadata, nint allocator, byte** text) =>
        ((delegate* unmanaged<nint, nint, byte**, nint>)Table[114])(metadata, allocator, text);
    public static nint ModelMetadataGetDescription(nint metadata, nint allocator, byte** text) =>
        ((delegate* unmanaged<nint, nint, byte**, nint>)Table[115])(metadata, allocator, text);
    public static nint ModelMetadataGetVersion(nint metadata, long* version) =>
        ((delegate* unmanaged<nint, long*, nint>)Table[117])(metadata, version);
    public static nint ModelMetadataGetCustomMetadataMapKeys(nint metadata, nint allocator, byte*** keys, long* count) =>
        ((delegate* unmanaged<nint, nint, byte***, long*, nint>)Table[123])(metadata, allocator, keys, count);
    public static nint ModelMetadataLookupCustomMetadataMap(nint metadata, nint allocator, byte* key, byte** value) =>
        ((delegate* unmanaged<nint, nint, byte*, byte**, nint>)Table[116])(metadata, allocator, key, value);
    public static void ReleaseModelMetadata(nint metadata) => ((delegate* unmanaged<nint, void>)Table[118])(metadata);

    // Values
    public static nint CreateTensorWithDataAsOrtValue(
        nint info, void* data, nuint length, long* shape, nuint rank, int element, nint* value) =>
        ((delegate* unmanaged<nint, void*, nuint, long*, nuint, int, nint*, nint>)Table[49])(info, data, length, shape, rank, element, value);
    public static nint CreateTensorAsOrtValue(nint allocator, long* shape, nuint rank, int element, nint* value) =>
        ((delegate* unmanaged<nint, long*, nuint, int, nint*, nint>)Table[48])(allocator, shape, rank, element, value);
    public static nint GetTensorElementTypeAndShapeDataReference(nint value, int* element, long** shape, nuint* rank) =>
        ((delegate* unmanaged<nint, int*, long**, nuint*, nint>)Table[414])(value, element, shape, rank);
    public static nint GetTensorMutableData(nint value, void** data) => ((delegate* unmanaged<nint, void**, nint>)Table[51])(value, data);
    public static nint GetTensorSizeInBytes(nint value, nuint* length) =>
        ((delegate* unmanaged<nint, nuint*, nint>)Table[318])(value, length);
    public static nint GetResizedStringTensorElementBuffer(nint value, nuint index, nuint length, byte** buffer) =>
        ((delegate* unmanaged<nint, nuint, nuint, byte**, nint>)Table[252])(value, index, length, buffer);
    public static nint GetStringTensorDataLength(nint value, nuint* length) =>
        ((delegate* unmanaged<nint, nuint*, nint>)Table[53])(value, length);
    public static nint GetStringTensorContent(nint value, byte* text, nuint length, nuint* offsets, nuint count) =>
        ((delegate* unmanaged<nint, byte*, nuint, nuint*, nuint, nint>)Table[54])(value, text, length, offsets, count);
    public static void ReleaseValue(nint value) => ((delegate* unmanaged<nint, void>)Table[96])(value);

    // Run options and adapters
    public static nint CreateRunOptions(nint* options) => ((delegate* unmanaged<nint*, nint>)Table[39])(options);
    public static nint RunOptionsSetTerminate(nint options) => ((delegate* unmanaged<nint, nint>)Table[46])(options);
    public static nint RunOptionsUnsetTerminate(nint options) => ((delegate* unmanaged<nint, nint>)Table[47])(options);
    public static nint AddRunConfigEntry(nint options, byte* key, byte* value) =>
        ((delegate* unmanaged<nint, byte*, byte*, nint>)Table[165])(options, key, value);
    public static nint RunOptionsAddActiveLoraAdapter(nint options, nint adapter) =>
        ((delegate* unmanaged<nint, nint, nint>)Table[283])(options, adapter);
    public static void ReleaseRunOptions(nint options) => ((delegate* unmanaged<nint, void>)Table[97])(options);
    public static nint CreateLoraAdapter(void* path, nint allocator, nint* adapter) =>
        ((delegate* unmanaged<void*, nint, nint*, nint>)Table[280])(path, allocator, adapter);
    public static nint CreateLoraAdapterFromArray(void* bytes, nuint length, nint allocator, nint* adapter) =>
        ((delegate* unmanaged<void*, nuint, nint, nint*, nint>)Table[281])(bytes, length, allocator, adapter);
    public static void ReleaseLoraAdapter(nint adapter) => ((delegate* unmanaged<nint, void>)Table[282])(adapter);

    // Binding
    public static nint CreateIoBinding(nint session, nint* binding) =>
        ((delegate* unmanaged<nint, nint*, nint>)Table[134])(session, binding);
    public static nint BindInput(nint binding, byte* name, nint value) =>
        ((delegate* unmanaged<nint, byte*, nint, nint>)Table[136])(binding, name, value);
    public static nint BindOutput(nint binding, byte* name, nint value) =>
        ((delegate* unmanaged<nint, byte*, nint, nint>)Table[137])(binding, name, value);
    public static nint BindOutputToDevice(nint binding, byte* name, nint info) =>
        ((delegate* unmanaged<nint, byte*, nint, nint>)Table[138])(binding, name, info);
    public static nint GetBoundOutputValues(nint binding, nint allocator, nint** values, nuint* count) =>
        ((delegate* unmanaged<nint, nint, nint**, nuint*, nint>)Table[140])(binding, allocator, values, count);
    public static void ClearBoundInputs(nint binding) => ((delegate* unmanaged<nint, void>)Table[141])(binding);
    public static void ClearBoundOutputs(nint binding) => ((delegate* unmanaged<nint, void>)Table[142])(binding);
    public static void ReleaseIoBinding(nint binding) => ((delegate* unmanaged<nint, void>)Table[135])(binding);
}
