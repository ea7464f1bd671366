using System.CommandLine;
using Coppice.Cli.Publishing;
using Coppice.Formats;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli;

/// <summary><c>coppice seal</c>: keys of encrypted releases, and who is granted them.</summary>
public static class SealCommand
{
    static readonly Option<string?> RepoOption = new("--repo") { Description = "Repository folder, or the server's URL. Default: COPPICE_SERVER." };
    static readonly Option<string?> KeysOption = new("--keys") { Description = "Folder of keys. Default: COPPICE_KEYS." };
    static readonly Option<string?> TokenOption = new("--token") { Description = "The operator's token for a server, or @FILE that holds it. Default: COPPICE_TOKEN." };

    public static Command Build() => new("seal", "Keys of encrypted releases, and who can read them.") { Key(), MakeModelKey(), GrantRelease(), Member(), Withdraw(), Show(), Open() };

    static Command Key()
    {
        var output = new Option<string>("--output", "-o") { Description = "File for the private key; the public one is put beside it, with '.pub'.", Required = true };
        var command = new Command("key", "Makes a pair of keys, for a server that keeps content keys or for a group of devices.") { output };
        command.SetAction(parsed => Run(() =>
        {
            var path = parsed.GetRequiredValue(output);
            using var key = SealingKey.Create();
            var password = Environment.GetEnvironmentVariable(KeyFiles.PasswordVariable);
            SealingFiles.WriteNew(path, string.IsNullOrEmpty(password) ? key.Export() : key.Export(password));
            File.WriteAllText(path + ".pub", key.Public.ToPem());
            Console.Out.WriteLine($"Made {path} and {path}.pub, sha256 {key.Public.Digest}.");
            return Task.CompletedTask;
        }));
        return command;
    }

    static Command MakeModelKey()
    {
        var model = ModelCommand.Argument();
        var command = new Command("model-key", "Makes the key of a model, from which those of its files are derived. Publishing makes it by itself.") { model, KeysOption };
        command.SetAction(parsed => Run(() =>
        {
            var name = ModelCommand.Name(parsed.GetRequiredValue(model));
            using var key = SealingFiles.MakeModelKey(Keys(parsed), name);
            Console.Out.WriteLine($"Made {SealingFiles.ModelKeyPath(Keys(parsed), name)}. Keep a copy in a safe.");
            return Task.CompletedTask;
        }));
        return command;
    }

    static Command GrantRelease()
    {
        var (model, version, to) = (ModelCommand.Argument(), new Argument<string>("version") { Description = "The release." }, To());
        var command = new Command("grant", "Lets devices or groups read a release: puts its keys, sealed to their public keys, into the repository.") { model, version, to, RepoOption, KeysOption, TokenOption };
        command.SetAction((parsed, cancel) => Run(async () =>
        {
            var (name, wanted) = (ModelCommand.Name(parsed.GetRequiredValue(model)), ModelCommand.Version(parsed.GetRequiredValue(version)));
            using var repository = Repository(parsed);
            var release = await repository.FindAsync(name, wanted, cancel) ?? throw new PublicationException($"{name} {wanted} is not in the repository.");
            if (!release.Manifest.IsSealed)
                throw new PublicationException($"{name} {wanted} is not sealed; whoever has the repository can read it.");
            using var key = SealingFiles.FindModelKey(Keys(parsed), name)
                ?? throw new PublicationException($"The key of {name} is not at {SealingFiles.ModelKeyPath(Keys(parsed), name)}; bring it from where the release was published.");
            var recipients = SealingFiles.ReadPublic(parsed.GetRequiredValue(to));
            var keys = new ReleaseSealing(key).KeysOf(release.Manifest);
            foreach (var recipient in recipients)
                await repository.GrantAsync(GrantFile.Of(recipient.Digest).With(keys.Select(content => Grant.Of(content, recipient))), cancel);
            Console.Out.WriteLine($"{recipients.Length} {(recipients.Length == 1 ? "key" : "keys")} can read {name} {wanted}.");
        }));
        return command;
    }

    static Command Member()
    {
        var (group, to) = (new Argument<string>("group") { Description = "File of the group's private key." }, To());
        var command = new Command("member", "Makes devices members of a group: they read what is granted to it, now and later.") { group, to, RepoOption, KeysOption, TokenOption };
        command.SetAction((parsed, cancel) => Run(async () =>
        {
            using var key = SealingFiles.ReadKey(parsed.GetRequiredValue(group));
            var recipients = SealingFiles.ReadPublic(parsed.GetRequiredValue(to));
            using var repository = Repository(parsed);
            foreach (var recipient in recipients)
                await repository.GrantAsync(GrantFile.Of(recipient.Digest).With([Grant.Of(key, recipient)]), cancel);
            Console.Out.WriteLine($"{recipients.Length} more in the group {key.Public.Digest.ToString()[..16]}….");
        }));
        return command;
    }

    static Command Withdraw()
    {
        var to = To();
        var command = new Command("withdraw", "Takes all grants of public keys out of the repository. What they opened before, they have; for a group's member, make a new group.") { to, RepoOption, KeysOption, TokenOption };
        command.SetAction((parsed, cancel) => Run(async () =>
        {
            using var repository = Repository(parsed);
            foreach (var recipient in SealingFiles.ReadPublic(parsed.GetRequiredValue(to)))
                await repository.WithdrawAsync(recipient.Digest, cancel);
        }));
        return command;
    }

    static Command Show()
    {
        var file = new Argument<FileInfo>("file") { Description = "A sealed file, a sealed patch, or a file of grants." };
        var command = new Command("show", "Tells what a sealed file or a file of grants says in the clear.") { file };
        command.SetAction(parsed => Run(() =>
        {
            using var stream = parsed.GetRequiredValue(file).OpenRead();
            var bytes = new byte[Math.Min(stream.Length, GrantFile.MaxBytes + 1)];
            stream.ReadExactly(bytes);
            if (bytes.AsSpan().StartsWith("CPG1"u8))
            {
                var grants = GrantFile.Read(bytes);
                Output.Fields(("grants to", grants.Recipient.ToString()));
                Output.Table(["GIVES", "KEY"], [.. grants.Grants.Select(grant => new[] { Output.Words(grant.Kind), grant.Key.ToString() })], "No grant.");
                return Task.CompletedTask;
            }

            var header = SealHeader.Read(bytes);
            Output.Fields(
                ("holds", header.Kind == SealedKind.Blob ? "a file" : "a patch"), (header.Kind == SealedKind.Blob ? "plaintext" : "from and to", $"sha256 {header.Subject}"),
                ("key", header.Key.ToString()), ("segments", $"{header.Segment} bytes"),
                ("length", SealHeader.PlainLength(stream.Length, header.Segment) is { } plain ? $"{plain} bytes of plaintext" : "of no whole sealed file"));
            return Task.CompletedTask;
        }));
        return command;
    }

    static Command Open()
    {
        var file = new Argument<FileInfo>("file") { Description = "The sealed file." };
        var model = new Option<string>("--model") { Description = "The model whose key opens it.", Required = true };
        var output = new Option<string>("--output", "-o") { Description = "Where the plaintext goes.", Required = true };
        var command = new Command("open", "Decrypts a sealed file with the model's key, as a publisher may need it.") { file, model, output, KeysOption };
        command.SetAction(parsed => Run(() =>
        {
            var name = ModelCommand.Name(parsed.GetRequiredValue(model));
            using var key = SealingFiles.FindModelKey(Keys(parsed), name) ?? throw new PublicationException($"The key of {name} is not at {SealingFiles.ModelKeyPath(Keys(parsed), name)}.");
            using var stream = parsed.GetRequiredValue(file).OpenRead();
            var head = new byte[SealHeader.ByteCount];
            stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            var header = SealHeader.Read(head);
            if (header.Kind != SealedKind.Blob)
                throw new PublicationException("It is a sealed patch; only a device that has the old file can use it.");
            using var content = key.Content(header.Subject);
            using var source = new SealedSource(new StreamSource(stream), content);
            using var plain = ReplacingFile.Create(parsed.GetRequiredValue(output));
            using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
            var buffer = new byte[header.Segment];
            for (var at = 0L; at < source.Length;)
            {
                var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, source.Length - at));
                source.Read(at, part);
                hash.AppendData(part);
                plain.Stream.Write(part);
                at += part.Length;
            }

            if (new Sha256Digest(hash.GetHashAndReset()) != header.Subject)
                throw new PublicationException("The plaintext has another digest than the sealed file says; it was sealed wrongly.");
            plain.Commit();
            return Task.CompletedTask;
        }));
        return command;
    }

    static Option<string[]> To() => new("--to") { Description = "File of public keys, in PEM or one a line in base64; repeat for more.", Required = true };

    static string Keys(ParseResult parsed) => parsed.GetValue(KeysOption) ?? Environment.GetEnvironmentVariable("COPPICE_KEYS")
        ?? throw new UsageException("Whose keys? Give the folder of keys with --keys, or set COPPICE_KEYS.");

    static IReleaseRepository Repository(ParseResult parsed) => Publish.Open(
        parsed.GetValue(RepoOption) ?? Environment.GetEnvironmentVariable("COPPICE_SERVER") ?? throw new UsageException("Where? Give --repo FOLDER or URL, or set COPPICE_SERVER."),
        Keys(parsed), parsed.GetValue(TokenOption));

    static async Task<int> Run(Func<Task> work)
    {
        try
        {
            return await Output.RunAsync(work);
        }
        catch (Exception e) when (e is PublicationException or BrokenSealException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return ExitCode.Failed;
        }
    }
}
