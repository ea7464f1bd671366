using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Coppice.Server.Access;
using Coppice.Server.Storage;

namespace Coppice.Server.Idempotency;

/// <summary>A POST with the header <c>Idempotency-Key</c> is carried out once: sent again with the same key by the same operator, it gets the first answer.</summary>
/// <remarks>
/// The key is entered before the act and the answer after it. When the server stops between the two, nobody knows what came of the act, and the same key then says
/// so instead of doing it twice.
/// </remarks>
static class IdempotencyKeys
{
    const string Header = "Idempotency-Key";
    const int MaxKey = 128;
    const int MaxKept = 1 << 20;

    public static void UseIdempotencyKeys(this IApplicationBuilder app) => app.Use(async (context, next) =>
    {
        if (!HttpMethods.IsPost(context.Request.Method) || !context.Request.Headers.TryGetValue(Header, out var header) || context.User.Identity is not OperatorIdentity { Caller: var caller })
        {
            await next(context);
            return;
        }

        var key = header.ToString();
        if (key.Length is 0 or > MaxKey || !key.All(c => c is > ' ' and < (char)127))
        {
            await Problems.Validation([new(Header, $"is no key; give 1 to {MaxKey} visible ASCII characters, as a UUID, made anew for each act.")]).ExecuteAsync(context);
            return;
        }

        var (store, secrets) = (context.RequestServices.GetRequiredService<IdempotencyStore>(), context.RequestServices.GetRequiredService<SecretBox>());
        var now = context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow();
        var request = await DigestAsync(context.Request, context.RequestAborted);
        if (await store.BeginAsync(caller.Subject, key, request, now, context.RequestAborted) is { } before)
        {
            await AnswerAsync(context, before, request, secrets);
            return;
        }

        var body = context.Response.Body;
        using var kept = new MemoryStream();
        context.Response.Body = kept;
        try
        {
            await next(context);
        }
        finally
        {
            context.Response.Body = body;
        }

        // A refusal changed nothing, except where it says that things are otherwise than was thought; that may be otherwise again.
        if (context.Response.StatusCode is >= 200 and < 300 && kept.Length <= MaxKept)
            await store.FinishAsync(caller.Subject, key, context.Response.StatusCode, context.Response.ContentType, context.Response.Headers.Location, secrets.Seal(kept.ToArray()));
        else
            await store.ForgetAsync(caller.Subject, key);
        kept.Position = 0;
        await kept.CopyToAsync(body, context.RequestAborted);
    });

    static async Task AnswerAsync(HttpContext context, IdempotencyRow before, string request, SecretBox secrets)
    {
        if (before.Request != request)
        {
            await Problems.Of(422, "idempotency-key", "The key was used for something else.", $"Another request came with this {Header} at {before.At:u}; make a new key for each act.").ExecuteAsync(context);
            return;
        }

        if (before.Status is not { } status)
        {
            await Problems.Of(409, "idempotency-unknown", "What came of the first request is not known.", $"The same request came at {before.At:u} and is under way, or the server stopped in the middle of it; look whether it was done, and use a new key if not.").ExecuteAsync(context);
            return;
        }

        context.Response.StatusCode = status;
        context.Response.ContentType = before.ContentType;
        if (before.Location is { } location)
            context.Response.Headers.Location = location;
        context.Response.Headers["Idempotency-Replayed"] = "true";
        await context.Response.Body.WriteAsync(secrets.Open(before.Body), context.RequestAborted);
    }

    static async Task<string> DigestAsync(HttpRequest request, CancellationToken cancel)
    {
        request.EnableBuffering();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{request.Method} {request.Path}{request.QueryString}\n")));
        var buffer = new byte[16 << 10];
        for (int read; (read = await request.Body.ReadAsync(buffer, cancel)) > 0;)
            hash.AppendData(buffer, 0, read);
        request.Body.Position = 0;
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
