using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Storage;

/// <summary>Where things lie in the data folder.</summary>
public static class DataFolder
{
    /// <summary>Held open by the one agent that writes here.</summary>
    public const string Lock = "lock";

    /// <summary>The device's id, and the server that knows it.</summary>
    public const string Identity = "device.json";

    /// <summary>The key that the device proves itself by.</summary>
    public const string SigningKey = "signing.key";

    /// <summary>The key that content keys are sealed to.</summary>
    public const string SealingKey = "sealing.key";

    /// <summary>The certificate of the signing key, and those above it.</summary>
    public const string Certificate = "device.pem";

    /// <summary>The roots by which the device knows its server.</summary>
    public const string Roots = "roots.pem";

    /// <summary>How far the sendings of reports are numbered.</summary>
    public const string Sendings = "sendings";

    /// <summary>What the operator calls the device, as the server signed it last.</summary>
    public const string Passport = "passport.json";

    /// <summary>Reports that the server has not confirmed.</summary>
    public const string Reports = "reports.json";

    /// <summary>What happened, oldest first.</summary>
    public const string History = "history.log";

    /// <summary>The history before <see cref="History"/> was begun anew.</summary>
    public const string OlderHistory = "history.1.log";

    /// <summary>What the agent is about to do; written without a sync, for people who look.</summary>
    public const string Live = "live.json";

    /// <summary>Trusted metadata of the repository.</summary>
    public const string Metadata = "metadata";

    /// <summary>A copy of the repository that bundles brought to this device; read beside the network, trusted no more than it.</summary>
    public const string Repository = "repository";

    /// <summary>Blobs by digest.</summary>
    public const string Blobs = "blobs";

    /// <summary>Blobs that are being fetched.</summary>
    public const string Fetching = "fetching";

    /// <summary>Content keys of sealed files, each sealed to this device.</summary>
    public const string ContentKeys = "keys";

    /// <summary>The content keys of a file, by the digest of its plaintext.</summary>
    public static string ContentKey(Sha256Digest file) => $"{ContentKeys}/{file}.cpg";

    /// <summary>A folder for each model.</summary>
    public const string Models = "models";

    /// <summary>Whether a file, or the one that is written to take its place, is for its owner alone.</summary>
    public static bool IsSecret(string path) =>
        path is SigningKey or SigningKey + ".new" or SealingKey or SealingKey + ".new" || path.StartsWith(ContentKeys + "/", StringComparison.Ordinal);

    /// <summary>The folder of a model.</summary>
    public static string Of(ModelName model) => $"{Models}/{model.Owner}/{model.Name}";

    /// <summary>A model's step, serving and previous slots, refusals: the one file whose replacement is a switch.</summary>
    public static string State(ModelName model) => $"{Of(model)}/state.json";

    /// <summary>What the device's user answered to a model's questions; written by whoever asked the user.</summary>
    public static string Answers(ModelName model) => $"{Of(model)}/answers.json";

    /// <summary>A model's slots.</summary>
    public static string Slots(ModelName model) => $"{Of(model)}/slots";

    /// <summary>A manifest as it was signed.</summary>
    public static string Manifest(ModelName model, Sha256Digest digest) => $"{Manifests(model)}/{digest}.json";

    /// <summary>The manifests of a model's slots.</summary>
    public static string Manifests(ModelName model) => $"{Of(model)}/manifests";

    /// <summary>A whole blob.</summary>
    public static string Blob(Sha256Digest digest)
    {
        var hex = digest.ToString();
        return $"{Blobs}/{hex[..2]}/{hex}";
    }

    /// <summary>The beginning of a blob.</summary>
    public static string Part(Sha256Digest digest) => $"{Fetching}/{digest}.part";

    /// <summary>The beginning of a blob that is needed on the way to another.</summary>
    public static string Part(Sha256Digest wanted, Sha256Digest blob) => wanted == blob ? Part(wanted) : $"{Fetching}/{wanted}.{blob}.part";

    /// <summary>The tag under which a server gave the beginning of a blob.</summary>
    public static string Tag(Sha256Digest wanted, Sha256Digest blob) => $"{Fetching}/{wanted}.{blob}.tag";

    /// <summary>A patch on the way to a blob, or its beginning.</summary>
    /// <param name="wanted">The blob that is wanted in the end.</param>
    /// <param name="file">The patch's file in the repository.</param>
    public static string Patch(Sha256Digest wanted, string file) => $"{Fetching}/{wanted}.{Key(file)}.patch";

    /// <summary>What a patch has made of a blob so far.</summary>
    public static string Patched(Sha256Digest wanted, Sha256Digest blob) => $"{Fetching}/{wanted}.{blob}.made";

    /// <summary>How far a patch had come when the agent ended in order.</summary>
    public static string PatchProgress(Sha256Digest wanted, Sha256Digest blob) => $"{Fetching}/{wanted}.{blob}.at";

    /// <summary>A whole blob that is needed on the way to another, and that nobody signed.</summary>
    public static string Between(Sha256Digest wanted, Sha256Digest blob) => $"{Fetching}/{wanted}.{blob}.between";

    /// <summary>The tensor map of a blob that is being fetched.</summary>
    public static string Map(Sha256Digest wanted) => $"{Fetching}/{wanted}.map";

    /// <summary>Which ranges a blob is made of, so that it need not be read again to find out.</summary>
    public static string Ranges(Sha256Digest digest) => $"{RangeMaps}/{digest}.map";

    /// <summary>A file for each blob whose ranges are known.</summary>
    public const string RangeMaps = "ranges";

    /// <summary>What was decided for several models at once; there only until each model's own state says it.</summary>
    public const string Set = "set.json";

    /// <summary>A short name for a file of the repository.</summary>
    internal static string Key(string file) => Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(file)).ToString()[..32];
}
