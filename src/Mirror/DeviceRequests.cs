using System.Text.Json;
using Coppice.Mirror.Reports;
using Coppice.Protocol;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;

namespace Coppice.Mirror;

/// <summary>What devices say to the server: reports are kept and carried on; everything else passes through while upstream is there.</summary>
public sealed class DeviceRequests(ReportCarrier carrier, MirrorOptions options)
{
    const string Reports = "/v1/reports";

    /// <summary>What passes through: joining, renewing, content keys, and by what the server is known.</summary>
    static readonly string[] Passing = ["/v1/enrol", "/v1/renew", "/v1/keys", "/v1/authority/roots.pem"];

    /// <summary>Answers a device.</summary>
    public async Task ServeAsync(HttpContext context, string path)
    {
        var isReport = path == Reports && HttpMethods.IsPost(context.Request.Method);
        if (!isReport && !Passing.Contains(path))
        {
            await RepositoryFiles.Plain(context, StatusCodes.Status404NotFound, "A mirror serves the repository and carries what devices report; ask the server for the rest.");
            return;
        }

        if (await ReadAsync(context) is not { } request)
            return;
        if (!isReport)
        {
            await AnswerAsync(context, await carrier.SendAsync(request, context.RequestAborted));
            return;
        }

        if (Read(request.Body) is not { } batch)
        {
            await RepositoryFiles.Plain(context, StatusCodes.Status400BadRequest, "The body is no batch of reports.");
            return;
        }

        if (batch.Reports.IsDefaultOrEmpty)
        {
            // Says only that the device is there, or asks how far the server has got: what is carried on later would make the one false, and the other the server alone knows.
            if (carrier.MayReach && await carrier.SendAsync(request, context.RequestAborted) is { } said)
                await AnswerAsync(context, said);
            else
                await AnswerAsync(context, new ReportAnswer());
            return;
        }

        var (kept, answer) = await carrier.TakeAsync(request, options.ReportPatience, context.RequestAborted);
        if (!kept)
        {
            context.Response.Headers.RetryAfter = "600";
            await RepositoryFiles.Plain(context, StatusCodes.Status503ServiceUnavailable, "This mirror has no room for more reports until upstream is back; keep them.");
        }
        else if (answer is not null)
        {
            await AnswerAsync(context, answer);
        }
        else
        {
            // Kept durably, and carried on in this order: the device need not send them again. What the operator calls it, only the server says.
            await AnswerAsync(context, new ReportAnswer(batch.Reports[^1].Sequence) { OnTheWay = true });
        }
    }

    static Task AnswerAsync(HttpContext context, ReportAnswer answer)
    {
        context.Response.ContentType = "application/json";
        return context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(answer, DeviceMessagesContext.Default.ReportAnswer), context.RequestAborted).AsTask();
    }

    static async Task AnswerAsync(HttpContext context, UpstreamAnswer? answer)
    {
        if (answer is null)
        {
            context.Response.Headers.RetryAfter = "60";
            await RepositoryFiles.Plain(context, StatusCodes.Status503ServiceUnavailable, "Upstream is away; reports are kept here until it is back, all else is asked of it again.");
            return;
        }

        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = answer.ContentType;
        context.Response.ContentLength = answer.Body.Length;
        await context.Response.Body.WriteAsync(answer.Body, context.RequestAborted);
    }

    static async Task<CarriedRequest?> ReadAsync(HttpContext context)
    {
        var request = context.Request;
        var most = ReportBatch.MaxBytes + 4096;
        if (request.ContentLength > most)
        {
            await RepositoryFiles.Plain(context, StatusCodes.Status413PayloadTooLarge, $"At most {ReportBatch.MaxBytes} bytes are taken.");
            return null;
        }

        var body = new byte[most];
        var read = await request.Body.ReadAtLeastAsync(body, most, throwOnEndOfStream: false, context.RequestAborted);
        if (read == most)
        {
            await RepositoryFiles.Plain(context, StatusCodes.Status413PayloadTooLarge, $"At most {ReportBatch.MaxBytes} bytes are taken.");
            return null;
        }

        var headers = CarriedRequest.Carried.Where(name => request.Headers.ContainsKey(name)).ToDictionary(name => name, name => request.Headers[name].ToString());
        return new(request.GetEncodedPathAndQuery(), request.ContentType, headers, body[..read]);
    }

    static ReportBatch? Read(byte[] body)
    {
        try
        {
            return JsonSerializer.Deserialize(body, DeviceMessagesContext.Default.ReportBatch) is { Reports.Length: <= ReportBatch.MaxReports } batch ? batch : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
