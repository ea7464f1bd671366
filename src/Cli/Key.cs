using System.CommandLine;
using System.Text;
using Coppice.Cli.Publishing;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice key</c>: signing keys of people and servers.</summary>
static class KeyCommand
{
    const string StandardOutput = "-";

    public static Command Build() => new("key", "Signing keys: make them, look at them, change their passwords.") { Create(), Show(), List(), Password() };

    static Command Create()
    {
        var file = new Argument<string>("FILE") { Description = "The private key's file, root-alice.pem; '-' for standard output; or a token's address, pkcs11:token=NAME;object=LABEL?module-path=FILE." };
        var name = new Option<string?>("--name") { Description = "What people call the key; else the file's name." };
        var open = new Option<bool>("--no-password") { Description = "Leave the key in the clear: for online keys, which a server opens by itself." };
        var password = KeyPassword.Option();
        var publicFile = new Option<string?>("--public") { Description = "Where the public key goes; else beside the private one, ending in .pub." };
        var command = new Command("create", "Makes a P-256 key: the private part encrypted, for its owner alone; the public part as text that may be shown to everybody.") { file, name, open, password, publicFile };
        command.SetAction(parsed => Ceremony.RunAsync(() =>
        {
            var target = parsed.GetRequiredValue(file);
            var isToken = TokenAddress.IsOne(target);
            var called = parsed.GetValue(name) ?? (isToken ? TokenAddress.Parse(target).Label : target == StandardOutput ? "key" : Path.GetFileNameWithoutExtension(target));
            if (PublicKeyText.Shown(called) is null)
                throw new UsageException($"--name: '{SigningSummary.Printable(called)}' is not a name; take 1 to {PublicKeyText.MostName} printable ASCII characters.");
            using var key = isToken ? TokenKey.Create(TokenAddress.Parse(target)) : SigningKey.Create(called);
            var publicPath = parsed.GetValue(publicFile) ?? (isToken || target == StandardOutput ? null : Path.ChangeExtension(target, KeyFiles.PublicEnding));
            var publicText = PublicKeyText.Write(new(key.Public.KeyType, key.Public.Scheme, key.Public.Value) { Name = called });
            if (publicPath is not null && File.Exists(publicPath))
                throw new PublicationException($"{publicPath} is there already; nothing was changed. Choose another name.");
            if (!isToken)
            {
                var clear = parsed.GetValue(open);
                var pem = clear ? key.Export() : key.Export(KeyPassword.New(parsed.GetValue(password), target));
                if (target == StandardOutput)
                    Console.Out.Write(Encoding.ASCII.GetString(pem));
                else
                    PrivateFile.WriteNew(target, pem);
                Console.Error.WriteLine($"Made {(target == StandardOutput ? "a key" : target)}, {(clear ? "in the clear: for a server's online key only" : "encrypted with its password, which nobody can recover")}.");
            }

            if (publicPath is not null)
                File.WriteAllText(publicPath, publicText);
            Console.Error.WriteLine(publicPath is null ? publicText.TrimEnd() : $"Its public key is in {publicPath}; give that to whoever makes the repository.");
            Describe(key.Public, called);
        }));
        return command;
    }

    static Command Show()
    {
        var file = new Argument<string>("KEY") { Description = "A private or public key's file, or a token's address." };
        var onlyPublic = new Option<bool>("--public") { Description = "Write the public key's text and nothing else." };
        var password = KeyPassword.Option();
        var command = new Command("show", "Shows a key: its name, its id, its public part.") { file, onlyPublic, password };
        command.SetAction(parsed => Ceremony.RunAsync(() =>
        {
            var given = parsed.GetRequiredValue(file);
            var isPrivate = !TokenAddress.IsOne(given) && IsPrivate(given);
            using var opened = isPrivate ? KeyFiles.Open(given, parsed.GetValue(password)) : null;
            var key = opened?.Public ?? KeyFiles.Public(given);
            if (parsed.GetValue(onlyPublic))
            {
                Console.Out.Write(PublicKeyText.Write(key));
                return;
            }

            Describe(key, key.Name);
            Console.Out.WriteLine($"kind    P-256, {(TokenAddress.IsOne(given) ? "in a token" : !isPrivate ? "public part" : SigningKey.IsEncrypted(File.ReadAllBytes(given)) ? "private, encrypted" : "private, in the clear")}");
            Console.Out.WriteLine();
            Console.Out.Write(PublicKeyText.Write(key));
        }));
        return command;
    }

    static Command List()
    {
        var folder = new Argument<string>("FOLDER") { Description = "A folder of keys.", DefaultValueFactory = _ => "." };
        var repo = Ceremony.Repo("Also say what each key signs in this repository: a folder, or a server's URL.");
        var command = new Command("list", "Lists the keys in a folder, without opening them.") { folder, repo };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            var powers = new Dictionary<string, List<string>>(StringComparer.Ordinal);
            if (parsed.GetValue(repo) is { } where)
            {
                using var repository = Ceremony.Open(where, null, null);
                foreach (var role in (await repository.StatusAsync(cancel)).Roles)
                {
                    foreach (var key in role.Keys)
                        (powers.TryGetValue(key.Id, out var roles) ? roles : powers[key.Id] = []).Add(role.Role);
                }
            }

            var rows = new List<IReadOnlyList<string>>();
            foreach (var file in Directory.GetFiles(parsed.GetRequiredValue(folder)).Where(file => file.EndsWith(".pem", StringComparison.Ordinal) || file.EndsWith(KeyFiles.PublicEnding, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
            {
                var text = File.ReadAllText(file);
                var kind = text.Contains("BEGIN ENCRYPTED PRIVATE KEY", StringComparison.Ordinal) ? "private, encrypted" : text.Contains("PRIVATE KEY", StringComparison.Ordinal) ? "private, in the clear" : "public";
                var id = PublicKeyText.IdIn(text) ?? (kind == "public" ? KeyFiles.Public(file).ComputeKeyId() : null);
                rows.Add([Path.GetFileName(file), PublicKeyText.NameIn(text) ?? "-", id?[..16] ?? "?", kind, id is not null && powers.TryGetValue(id, out var roles) ? string.Join(", ", roles) : "-"]);
            }

            Output.Table(["FILE", "NAME", "KEY ID", "KIND", "SIGNS"], rows, "No key; make one with 'coppice key create'.");
        }));
        return command;
    }

    static Command Password()
    {
        var file = new Argument<string>("FILE") { Description = "The private key's file." };
        var old = KeyPassword.Option("--old-password");
        var password = KeyPassword.Option("--password");
        var command = new Command("password", "Changes the password of a key's file. Copies elsewhere keep the old one.") { file, old, password };
        command.SetAction(parsed => Ceremony.RunAsync(() =>
        {
            var path = parsed.GetRequiredValue(file);
            using var key = KeyFiles.Open(path, parsed.GetValue(old));
            PrivateFile.Replace(path, key.Export(KeyPassword.New(parsed.GetValue(password), path)));
            Console.Out.WriteLine($"{path} has its new password.");
        }));
        return command;
    }

    static bool IsPrivate(string file)
    {
        try
        {
            return File.ReadAllText(file).Contains("PRIVATE KEY", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"{file} cannot be read ({e.Message})", e);
        }
    }

    // In groups of four, to be read aloud and compared.
    static void Describe(PublicKey key, string? name)
    {
        Console.Error.WriteLine($"name    {name ?? "-"}");
        Console.Error.WriteLine($"key id  {string.Join(' ', key.ComputeKeyId().Chunk(4).Select(four => new string(four)))}");
    }
}
