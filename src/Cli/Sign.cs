using System.CommandLine;
using Coppice.Cli.Publishing;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice sign</c>: shows what a request would change, asks, and signs. It needs no network.</summary>
static class SignCommand
{
    public static Command Build()
    {
        var file = new Argument<string>("REQUEST") { Description = "The request's file; the signature is written into it." };
        var keys = new Option<string[]>("--key") { Description = "A private key's file or a token's address; may be repeated. Without a key, the request is only shown." };
        var password = KeyPassword.Option();
        var yes = new Option<bool>("--yes") { Description = "Do not ask." };
        var against = new Option<string?>("--against") { Description = "A root file that you hold yourself: the request must start from it, and not from one that its maker thought up." };
        var merge = new Option<string[]>("--merge") { Description = "A copy of the request that somebody else signed; its signatures are taken over. May be repeated." };
        var output = new Option<string?>("--out") { Description = "Write the signed request there, and leave REQUEST as it is." };
        var command = new Command("sign", "Shows what a signing request would change, in plain words, asks, and signs it.") { file, keys, password, yes, against, merge, output };
        command.SetAction(parsed => Ceremony.RunAsync(() =>
        {
            var path = parsed.GetRequiredValue(file);
            var merged = parsed.GetValue(merge) ?? [];
            var request = Ceremony.Read([path, .. merged]);
            if (parsed.GetValue(against) is { } held && !request.StartsFrom(MetadataFile.ReadRoot(File.ReadAllBytes(held))))
                throw new PublicationException($"The request does not start from the root in {held}: it is for another repository, for an older state, or forged. Do not sign it.");
            Ceremony.Tell(request);
            var signers = parsed.GetValue(keys) ?? [];
            if (signers.Length > 0)
                request = Sign(request, signers, parsed.GetValue(password), parsed.GetValue(yes));
            if (signers.Length == 0 && merged.Length == 0)
                return;
            PrivateFile.Replace(parsed.GetValue(output) ?? path, request.Write());
            Console.Out.WriteLine();
            foreach (var line in SigningSummary.Signatures(request))
                Console.Out.WriteLine(line);
            if (request.IsComplete)
                Console.Out.WriteLine(request.Manifests.Count > 0 ? "Complete. Hand it in: coppice publish --signed FILE --repo REPOSITORY" : "Complete. Put it in force: coppice root apply FILE --repo REPOSITORY");
        }));
        return command;
    }

    static SigningRequest Sign(SigningRequest request, string[] signers, string? password, bool yes)
    {
        if (!yes)
        {
            Console.Out.Write($"Sign this with {string.Join(", ", signers)}? Write yes: ");
            var answer = Console.ReadLine() ?? throw new UsageException("Nobody answers whether to sign; give --yes when you have read what it does.");
            if (answer.Trim() is not ("yes" or "y"))
                throw new PublicationException("Not signed.");
        }

        foreach (var signer in signers)
        {
            using var key = KeyFiles.Open(signer, password);
            request = request.Sign(key, out var roles);
            if (roles.IsEmpty)
                throw new PublicationException($"The key {new NamedKey(key.KeyId, key.Public.Name)} in {signer} counts for nothing in this request; it asks for {string.Join(", ", request.Needs.SelectMany(need => need.Keys).Distinct())}.");
            Console.Out.WriteLine($"Signed {string.Join(", ", roles)} with {new NamedKey(key.KeyId, key.Public.Name)}.");
        }

        return request;
    }
}
