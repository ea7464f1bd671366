using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Coppice.Cli;

/// <summary>A sign-in as it is kept.</summary>
/// <param name="Issuer">The provider.</param>
/// <param name="ClientId">This program's id there.</param>
/// <param name="IdToken">What the server is shown.</param>
/// <param name="ExpiresAt">From this moment on it is refused.</param>
/// <param name="RefreshToken">Brings another one; null when the provider gave none.</param>
sealed record SignedIn(string Issuer, string ClientId, string IdToken, DateTimeOffset ExpiresAt, string? RefreshToken = null);

/// <summary>The sign-in of this user at a server: <c>coppice/sign-ins</c> in the user's configuration folder, readable by its owner alone.</summary>
static class KeptSignIn
{
    static readonly TimeSpan Margin = TimeSpan.FromSeconds(30);

    const UnixFileMode OwnerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode OwnerFolder = OwnerFile | UnixFileMode.UserExecute;

    public static bool Exists(Uri server) => File.Exists(PathOf(server));

    public static void Keep(Uri server, SignedIn signedIn)
    {
        var file = PathOf(server);
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        else
            Directory.CreateDirectory(Path.GetDirectoryName(file)!, OwnerFolder);
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnerFile;
        var part = file + ".part";
        File.Delete(part); // the mode is set only on a new file
        using (var writer = new StreamWriter(part, options))
            writer.Write(JsonSerializer.Serialize(signedIn, SignInContext.Default.SignedIn));
        File.Move(part, file, overwrite: true);
    }

    public static bool Forget(Uri server)
    {
        var there = Exists(server);
        File.Delete(PathOf(server));
        return there;
    }

    /// <summary>The token to show, renewed when it has run out.</summary>
    /// <exception cref="UsageException">Nobody is signed in, or the sign-in is over.</exception>
    public static async ValueTask<string> TokenAsync(Uri server, DateTimeOffset now, CancellationToken cancel)
    {
        var kept = JsonSerializer.Deserialize(await File.ReadAllTextAsync(PathOf(server), cancel), SignInContext.Default.SignedIn)
            ?? throw new UsageException($"{PathOf(server)} cannot be read; sign in again with 'coppice login'.");
        if (now < kept.ExpiresAt - Margin)
            return kept.IdToken;
        if (kept.RefreshToken is null)
            throw new UsageException($"The sign-in at {server} ended at {Output.Time(kept.ExpiresAt)}; sign in again with 'coppice login'.");
        var renewed = await IdentityProvider.RefreshAsync(kept, cancel);
        Keep(server, renewed);
        return renewed.IdToken;
    }

    static string PathOf(Uri server) => Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData, Environment.SpecialFolderOption.Create), "coppice", "sign-ins",
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(server.ToString())))[..16] + ".json");
}
