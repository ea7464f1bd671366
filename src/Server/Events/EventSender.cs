using System.Globalization;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Server.Storage;
using MailKit;
using MailKit.Net.Smtp;
using MailKit.Security;
using MimeKit;

namespace Coppice.Server.Events;

/// <summary>How mail is sent.</summary>
/// <param name="Server"><c>smtp://user:password@host:587</c>, with TLS where the server offers it, or <c>smtps://…</c>.</param>
/// <param name="From">The sender's address.</param>
public sealed record MailSettings(Uri Server, string From);

/// <summary>What came of one try.</summary>
/// <param name="Taken">Whether the receiver took it.</param>
/// <param name="Status">HTTP status; null when there was none.</param>
/// <param name="Error">What was wrong.</param>
/// <param name="Wait">What the receiver asked for.</param>
sealed record Sent(bool Taken, int? Status = null, string? Error = null, TimeSpan? Wait = null);

/// <summary>Sends one event to one place, once: an HTTP request signed as Standard Webhooks says, or a mail.</summary>
sealed class EventSender(SecretBox secrets, ControlPlaneOptions options) : IDisposable
{
    const int MaxError = 300;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    // A redirect would carry the event, signed, to wherever it says.
    readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = TimeSpan.FromSeconds(10), PooledConnectionLifetime = TimeSpan.FromMinutes(5) }) { Timeout = Patience };

    public void Dispose() => http.Dispose();

    public Task<Sent> SendAsync(WebhookRow webhook, ControlEvent what, DateTimeOffset now, CancellationToken cancel) =>
        webhook.Target.StartsWith("mailto:", StringComparison.Ordinal) ? MailAsync(webhook, what, cancel) : PostAsync(webhook, what, now, cancel);

    /// <summary>The value of <c>webhook-signature</c>.</summary>
    public static string Sign(ReadOnlySpan<byte> secret, string id, long timestamp, string body) =>
        "v1," + Convert.ToBase64String(HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{id}.{timestamp}.{body}"))));

    async Task<Sent> PostAsync(WebhookRow webhook, ControlEvent what, DateTimeOffset now, CancellationToken cancel)
    {
        var body = JsonSerializer.Serialize(new(JsonNamingPolicy.CamelCase.ConvertName(what.Kind.ToString()), what.At, what), ControlContext.Default.WebhookBody);
        var (id, timestamp) = (string.Create(CultureInfo.InvariantCulture, $"evt_{what.Id}"), now.ToUnixTimeSeconds());
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, webhook.Target) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            request.Headers.UserAgent.Add(new("Coppice", null));
            request.Headers.Add("webhook-id", id);
            request.Headers.Add("webhook-timestamp", timestamp.ToString(CultureInfo.InvariantCulture));
            request.Headers.Add("webhook-signature", Sign(secrets.Open(webhook.Secret), id, timestamp, body));
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel); // whatever it says beyond its status is not read
            return answer.IsSuccessStatusCode ? new(true, (int)answer.StatusCode) : new(false, (int)answer.StatusCode, $"answered {(int)answer.StatusCode} {answer.ReasonPhrase}", Wait(answer.Headers.RetryAfter, now));
        }
        catch (Exception e) when (e is HttpRequestException or CryptographicException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return new(false, Error: Short(e is OperationCanceledException ? $"did not answer within {Patience.TotalSeconds} s" : e.Message));
        }
    }

    async Task<Sent> MailAsync(WebhookRow webhook, ControlEvent what, CancellationToken cancel)
    {
        if (options.Mail is not { } mail)
            return new(false, Error: "this server sends no mail; start it with --smtp and --mail-from");
        using var message = new MimeMessage();
        message.From.Add(MailboxAddress.Parse(mail.From));
        message.To.Add(MailboxAddress.Parse(webhook.Target["mailto:".Length..]));
        var about = string.Join(' ', new[] { what.Model?.ToString(), what.Release?.ToString(), what.Rollout, what.Device }.Where(part => part is not null));
        message.Subject = $"[coppice] {Words(what.Kind)}{(about.Length == 0 ? "" : ": " + about)}";
        message.MessageId = string.Create(CultureInfo.InvariantCulture, $"evt-{what.Id}.{webhook.Id}@coppice"); // the same at each try: a mail program shows it once
        message.Date = what.At;
        message.Body = new TextPart("plain") { Text = $"{Words(what.Kind)}{(about.Length == 0 ? "" : ": " + about)}\nby {what.By}, {what.At:u}\n\n{what.Why}\n\nevent {what.Id}, sent by {webhook.Id} ({webhook.Name})\n" };
        try
        {
            using var client = new SmtpClient { Timeout = (int)Patience.TotalMilliseconds };
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(Patience * 2);
            var sealedFromStart = mail.Server.Scheme == "smtps";
            await client.ConnectAsync(mail.Server.Host, mail.Server.IsDefaultPort || mail.Server.Port < 0 ? (sealedFromStart ? 465 : 587) : mail.Server.Port,
                sealedFromStart ? SecureSocketOptions.SslOnConnect : SecureSocketOptions.StartTlsWhenAvailable, patience.Token);
            if (mail.Server.UserInfo.Split(':', 2) is [{ Length: > 0 } user, var password])
                await client.AuthenticateAsync(Uri.UnescapeDataString(user), Uri.UnescapeDataString(password), patience.Token);
            await client.SendAsync(message, patience.Token);
            await client.DisconnectAsync(quit: true, patience.Token);
            return new(true);
        }
        catch (Exception e) when (e is CommandException or ProtocolException or AuthenticationException or IOException or System.Net.Sockets.SocketException or SslHandshakeException or InvalidOperationException
            || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return new(false, Error: Short(e.Message));
        }
    }

    static TimeSpan? Wait(RetryConditionHeaderValue? header, DateTimeOffset now) => header?.Delta ?? (header?.Date - now);

    static string Words(EventKind kind) => string.Concat(kind.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? " " + char.ToLowerInvariant(c) : i == 0 ? c.ToString() : char.ToLowerInvariant(c).ToString()));

    static string Short(string text) => text.Length <= MaxError ? text : text[..(MaxError - 1)] + "…";
}
