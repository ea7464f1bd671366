using System.CommandLine;
using System.Net;
using Coppice.Server;

namespace Coppice.Cli;

/// <summary>The options of <c>coppice serve</c> that say how callers reach it and prove who they are.</summary>
sealed class ServeAccess
{
    readonly Option<FileInfo?> certificate = new("--certificate") { Description = "PEM of a certificate for TLS, with those above it; else the server's own authority makes one." };
    readonly Option<FileInfo?> key = new("--certificate-key") { Description = "PEM of its private key, when it is not in the same file." };
    readonly Option<string[]> names = new("--tls-name") { Description = "A further host name or address for the server's own certificate; may be repeated." };
    readonly Option<string[]> proxies = new("--trust-proxy") { Description = "Address or network (10.0.0.0/8) of a proxy that is believed when it says who calls; may be repeated." };
    readonly Option<bool> plain = new("--allow-plain-http") { Description = "Speak the APIs of devices and operators in the clear beyond this machine: for a network that is private itself." };
    readonly Option<bool> demand = new("--require-certificates") { Description = "Devices must show their certificate; a signature alone opens only enrolment and renewal." };
    readonly Option<string> life = new("--certificate-life") { Description = "How long a device's certificate lives; devices renew it after two thirds.", DefaultValueFactory = _ => "90d" };
    readonly Option<bool> tokensOnly = new("--no-requests") { Description = "Take no device that asks to be accepted; a join token or the list of devices is needed." };
    readonly Option<bool> quarantine = new("--quarantine-clones") { Description = "Refuse a device whose identity two installations have, until an operator has put it right." };
    readonly Option<string> keepReports = new("--keep-reports") { Description = "How long devices' reports are kept; what they came to stays.", DefaultValueFactory = _ => "400d" };
    readonly Option<string> silent = new("--silent-after") { Description = "A device that was not heard of for longer is called silent.", DefaultValueFactory = _ => "2d" };

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[certificate, key, names, proxies, plain, demand, life, tokensOnly, quarantine, silent, keepReports])
            command.Options.Add(option);
    }

    /// <exception cref="UsageException">An option is wrong; says which.</exception>
    public ControlPlaneOptions Read(ParseResult parsed, ControlPlaneOptions options)
    {
        if (parsed.GetValue(key) is not null && parsed.GetValue(certificate) is null)
            throw new UsageException("--certificate-key is without --certificate; give both, or neither.");
        return options with
        {
            CertificateFile = Existing(parsed, certificate),
            CertificateKeyFile = Existing(parsed, key),
            TlsNames = [.. parsed.GetValue(names) ?? []],
            TrustedProxies = [.. (parsed.GetValue(proxies) ?? []).Select(Network)],
            AllowPlainHttp = parsed.GetValue(plain),
            RequireCertificates = parsed.GetValue(demand),
            CertificateLife = Span(parsed, life),
            AcceptRequests = !parsed.GetValue(tokensOnly),
            QuarantineSuspects = parsed.GetValue(quarantine),
            SilentAfter = Span(parsed, silent),
            KeepReports = Span(parsed, keepReports) is var kept && kept >= TimeSpan.FromDays(7) ? kept
                : throw new UsageException($"--keep-reports: {parsed.GetValue(keepReports)} is too short; reports are forgotten by the week, so give 7d or more."),
        };
    }

    static string? Existing(ParseResult parsed, Option<FileInfo?> option) => parsed.GetValue(option) is not { } file ? null
        : file.Exists ? file.FullName
        : throw new UsageException($"{option.Name}: {file.FullName} is not there.");

    static IPNetwork Network(string text) =>
        IPAddress.TryParse(text, out var address) ? new(address, address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128)
        : IPNetwork.TryParse(text, out var network) ? network
        : throw new UsageException($"--trust-proxy: '{text}' is not an address or a network; write 10.0.0.5 or 10.0.0.0/8.");

    static TimeSpan Span(ParseResult parsed, Option<string> option) => Duration.TryParse(parsed.GetValue(option), out var span) && span > TimeSpan.Zero
        ? span
        : throw new UsageException($"{option.Name}: '{parsed.GetValue(option)}' is not a duration; write it as 24h or 90d.");
}
